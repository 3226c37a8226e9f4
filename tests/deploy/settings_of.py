"""usage: settings_of.py FILE FOLDER: what the bridge of a rendering would read.

Writes FOLDER/config.yaml, the files that it names moved below FOLDER and filled; prints the container's variables, one a
line, those of a Secret with a made-up value.
"""

import pathlib
import re
import subprocess
import sys

import yaml

file, folder = sys.argv[1], pathlib.Path(sys.argv[2])
with open(file) as stream:
    documents = [document for document in yaml.safe_load_all(stream) if document]
config_maps = [document["data"] for document in documents if document["kind"] == "ConfigMap"]
(text,) = [data["config.yaml"] for data in config_maps if "config.yaml" in data]
(stateful_set,) = [document for document in documents if document["kind"] == "StatefulSet"]



def certificate(pem, key):
    """Signed by itself."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=made-up", "-days", "1"]
    subprocess.run([*command, "-out", pem, "-keyout", key], check=True, capture_output=True)


folder.mkdir(parents=True, exist_ok=True)
certificate(folder / "certificate", folder / "key")
for path in set(re.findall(r"/etc/(?:retell-bridge|ssl/company)/[^\s\"',]+", text)):
    file = folder / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    like = {".crt": folder / "certificate", ".key": folder / "key"}.get(file.suffix)
    file.write_text(like.read_text() if like else "made_up\n")
    text = re.sub(re.escape(path) + r"(?=[\s\"',]|$)", str(file), text)
(folder / "config.yaml").write_text(text)
for variable in stateful_set["spec"]["template"]["spec"]["containers"][0].get("env", []):
    print(f"{variable['name']}={variable.get('value', 'made_up')}")
