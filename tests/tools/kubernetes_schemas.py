"""usage: kubernetes_schemas.py VERSION FOLDER

Turns the Kubernetes schemas that the Python package kubernetes-validate carries into a folder that kubeconform reads
without a network: references become relative, and the schemas are the strict ones, so an unknown field is an error.
"""

import json
import pathlib
import sys

import kubernetes_validate

version, folder = sys.argv[1], pathlib.Path(sys.argv[2])
package = pathlib.Path(kubernetes_validate.__file__).parent
source = package / "kubernetes-json-schema" / f"v{version}-local-strict"
if not source.is_dir():
    sys.exit(f"kubernetes-validate has no schemas of Kubernetes {version}: {source.name} is not in it")

folder.mkdir(parents=True)
for file in source.glob("*.json"):
    schema = json.loads(file.read_text().replace("/api/_definitions.json#", "_definitions.json#"))
    schema.pop("$id", None)
    (folder / file.name).write_text(json.dumps(schema))
