"""usage: lifted.py RENDERED: the Pod of the chart's StatefulSet with what it mounts, for `podman play kube`, on stdout.

Without a cluster the claim is a named volume, and the network is the machine's; everything else is as the chart has it.
"""

import base64
import json
import sys

import yaml

with open(sys.argv[1]) as file:
    documents = [document for document in yaml.safe_load_all(file) if document]
(stateful_set,) = [each for each in documents if each["kind"] == "StatefulSet"]
template = stateful_set["spec"]["template"]
pod = template["spec"]
pod["volumes"].append({"name": "journal", "persistentVolumeClaim": {"claimName": "journal-lifted"}})
for volume in pod["volumes"]:
    # podman 4 knows no projected volumes, and mounts a Secret without decoding it: the one Secret in it as a ConfigMap.
    if "projected" in volume:
        (source,) = volume.pop("projected")["sources"]
        volume["configMap"] = {"name": source["secret"]["name"], "items": source["secret"]["items"]}
for each in documents:
    if each["kind"] == "Secret":
        each["kind"], each["data"] = "ConfigMap", {name: base64.b64decode(text).decode() for name, text in each["data"].items()}
        each.pop("type")
pod.pop("topologySpreadConstraints")
# On the machine's own network, where Kafka is; there are no ports to map there.
pod["containers"][0].pop("ports")
for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
    pod["containers"][0][probe]["httpGet"]["port"] = 9464
lifted = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "lifted", "labels": template["metadata"]["labels"]},
    "spec": pod,
}
# As JSON, which is YAML: podman's parser takes `1e3` for a number where Python's sees no need to quote it.
print("\n---\n".join(json.dumps(each) for each in [*(each for each in documents if each["kind"] == "ConfigMap"), lifted]))
