"""usage: settings_of.py FILE FOLDER: what the bridge of a rendering would read.

Writes FOLDER/config.yaml, its key files moved below FOLDER and filled; prints the container's variables, one a line,
those of a Secret with a made-up value.
"""

import pathlib
import sys

import yaml

file, folder = sys.argv[1], pathlib.Path(sys.argv[2])
with open(file) as stream:
    documents = [document for document in yaml.safe_load_all(stream) if document]
(text,) = [document["data"]["config.yaml"] for document in documents if document["kind"] == "ConfigMap"]
(stateful_set,) = [document for document in documents if document["kind"] == "StatefulSet"]

for source in yaml.safe_load(text)["sources"].values():
    keys_file = folder / source["keys_file"].lstrip("/")
    keys_file.parent.mkdir(parents=True, exist_ok=True)
    keys_file.write_text("key_made_up\n")
    text = text.replace(source["keys_file"], str(keys_file))
(folder / "config.yaml").write_text(text)
for variable in stateful_set["spec"]["template"]["spec"]["containers"][0].get("env", []):
    print(f"{variable['name']}={variable.get('value', 'made_up')}")
