"""usage: rendered.py FILE RELEASE: what must hold of every rendering of the chart, whatever the values.

What a value does to one resource is in the chart's own unit tests. Here is, first of all, what an upgrade cannot change: claim template, service name and selector of the StatefulSet. A change here
that needs a change there breaks every installation.
"""

import hashlib
import json
import pathlib
import re
import sys

import yaml

file, release = sys.argv[1:]
with open(file) as stream:
    documents = [document for document in yaml.safe_load_all(stream) if document]
problems = []


def expect(condition, sentence):
    if not condition:
        problems.append(sentence)


def every(kind):
    return [document for document in documents if document["kind"] == kind]


def only(kind):
    found = every(kind)
    if len(found) != 1:
        sys.exit(f"{len(found)} of kind {kind}, there must be one")
    return found[0]


stateful_set = only("StatefulSet")
name = stateful_set["metadata"]["name"]
spec = stateful_set["spec"]
pod = spec["template"]["spec"]
container = pod["containers"][0]
volumes = {volume["name"]: volume for volume in pod["volumes"]}
mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
selector = {"app.kubernetes.io/name": "retell-bridge", "app.kubernetes.io/instance": release}
dashboards = [d for d in every("ConfigMap") if d["metadata"]["name"].endswith("-dashboard")]
(settings_text,) = [d["data"]["config.yaml"] for d in every("ConfigMap") if "config.yaml" in d["data"]]
settings = yaml.safe_load(settings_text)


def seconds(text):
    return int(text[:-1]) * (60 if text.endswith("m") else 1)


def mebibytes(text):
    number, unit = re.fullmatch(r"(\d+)([MGT])iB?", text).groups()
    return int(number) * {"M": 1, "G": 1024, "T": 1024**2}[unit]


def fixed_for_ever():
    expect(spec["serviceName"] == f"{name}-headless", "serviceName has changed")
    expect(spec["selector"] == {"matchLabels": selector}, "the selector has changed")
    expect(spec["podManagementPolicy"] == "Parallel", "podManagementPolicy has changed")
    if "emptyDir" in volumes.get("journal", {}):
        expect("volumeClaimTemplates" not in spec, "there is a claim template beside an emptyDir")
        expect(settings["journal"].get("allow_ephemeral") is True, "an emptyDir, and allow_ephemeral is not set")
        return
    expect(len(spec["volumeClaimTemplates"]) == 1, "there is not exactly one claim template")
    claim = spec["volumeClaimTemplates"][0]
    expect(claim["metadata"] == {"name": "journal"}, "the claim template's metadata has changed (no labels: they change)")
    expect(claim["spec"]["accessModes"] == ["ReadWriteOnce"], "the claim template's access mode has changed")
    size = mebibytes(claim["spec"]["resources"]["requests"]["storage"])
    expect(size * 5 >= mebibytes(settings["journal"]["size_max"]) * 6, "the claim is under 1.2 times journal.size_max")


def claims_are_kept():
    policy = spec["persistentVolumeClaimRetentionPolicy"]
    expect(policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}, "claims are not kept")


def names_are_short_enough():
    for document in documents:
        expect(len(document["metadata"]["name"]) <= 63, f"the name of a {document['kind']} is over 63 characters")
    for service in every("Service"):
        expect(re.fullmatch("[a-z][-a-z0-9]*", service["metadata"]["name"]), "a Service's name has what it must not have")
    expect(len(name) <= 52, "with its hash the name of the StatefulSet is no label")


def services_find_the_pods():
    services = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "Service"}
    expect(set(services) == {name, f"{name}-headless"}, "the Services are not the two that are meant")
    ports = {port["name"] for port in container["ports"]}
    expect(selector.items() <= spec["template"]["metadata"]["labels"].items(), "the pods lack the selector's labels")
    for service, service_spec in services.items():
        expect(service_spec["selector"] == selector, f"{service} does not select the pods")
        expect({port["targetPort"] for port in service_spec["ports"]} <= ports, f"{service} names a port nobody opens")
    expect(services[f"{name}-headless"].get("clusterIP") == "None", "the headless Service has an address")
    expect("admin" not in {port["name"] for port in services[name]["ports"]}, "the intake's Service shows the admin port")
    expect(only("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == selector, "the PDB does not select the pods")


def every_pod():
    """Name and spec of each pod that the chart makes: instances, Jobs, the test."""
    for document in documents:
        where = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "Pod":
            yield where, document["spec"]
        elif document["kind"] in ("StatefulSet", "Job"):
            yield where, document["spec"]["template"]["spec"]


def pod_security_is_restricted():
    expect(only("ServiceAccount")["automountServiceAccountToken"] is False, "the service account hands out a token")
    for where, each in every_pod():
        outer = each["securityContext"]
        expect(outer["runAsNonRoot"] is True and outer["runAsUser"] > 0, f"{where}: the pod may run as root")
        expect(outer["seccompProfile"] == {"type": "RuntimeDefault"}, f"{where}: no seccomp profile")
        expect(outer["fsGroup"] == outer["runAsGroup"], f"{where}: the volume is not the pod's group's")
        for inner in (container["securityContext"] for container in each["containers"]):
            expect(inner["allowPrivilegeEscalation"] is False, f"{where}: privileges may grow")
            expect(inner["readOnlyRootFilesystem"] is True, f"{where}: the root file system may be written")
            expect(inner["capabilities"] == {"drop": ["ALL"]}, f"{where}: capabilities are left")
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            expect(field not in each, f"{where}: {field} is set")
        allowed = {"configMap", "projected", "secret", "emptyDir", "persistentVolumeClaim"}
        kinds = {kind for volume in each["volumes"] for kind in set(volume) - {"name"}}
        expect(kinds <= allowed, f"{where}: a volume of a kind that restricted forbids")
        expect(each["automountServiceAccountToken"] is False, f"{where}: the pod gets a token")
        # Else a Service called retell-bridge puts RETELL_BRIDGE_PORT into the environment, where settings are read from.
        expect(each["enableServiceLinks"] is False, f"{where}: other Services would show up among the settings")


def only_the_instances_are_selected():
    """A Job's or the test's pod that had their labels would be sent events."""
    for document in documents:
        labels = document.get("metadata", {}).get("labels", {})
        if document["kind"] == "Job":
            labels = document["spec"]["template"]["metadata"]["labels"]
        if document["kind"] in ("Job", "Pod"):
            expect(not selector.items() <= labels.items(), f"the Services select {document['metadata']['name']}")


def every_pod_finds_its_files():
    names = {d["metadata"]["name"] for d in every("ConfigMap")}
    for where, each in every_pod():
        there = {volume["name"] for volume in each["volumes"]}
        if "volumeClaimTemplates" in spec and each is pod:
            there.add("journal")
        for inner in each["containers"]:
            mounted = {mount["name"]: mount["mountPath"] for mount in inner["volumeMounts"]}
            expect(set(mounted) <= there, f"{where}: {sorted(set(mounted) - there)} is mounted and no volume")
            for word in inner["args"]:
                path = re.search(r"/etc/retell-bridge/\S*", word)
                held = path is None or any(path[0].startswith(f"{at}/") for at in mounted.values())
                expect(held, f"{where}: {word} is on no volume")
        config = [volume["configMap"]["name"] for volume in each["volumes"] if volume["name"] == "config"]
        expect(set(config) <= names, f"{where}: its ConfigMap is not the release's")


def the_test_asks_every_instance():
    (test,) = [d for d in every("Pod") if d["metadata"]["annotations"].get("helm.sh/hook") == "test"]
    asked = [word for each in test["spec"]["containers"] for word in each["args"] if word.startswith("--until-published=")]
    wanted = [f"--until-published=http://{name}-{n}.{name}-headless:9464" for n in range(spec["replicas"])]
    expect(asked == wanted, f"the test asks {asked}")
    paths = {each["path"] for each in settings["sources"].values()}
    for word in (word for each in test["spec"]["containers"] for word in each["args"] if word.startswith("--url=")):
        expect(word.removeprefix("--url=").startswith("https://" if "tls" in settings else "http://"), f"{word}: wrong scheme")
        expect(any(word.endswith(path) for path in paths), f"{word} has no source's path")


def the_ways_in_carry_the_sources_and_nothing_else():
    paths = sorted(source["path"] for source in settings["sources"].values())
    for ingress in every("Ingress"):
        for rule in ingress["spec"]["rules"]:
            found = sorted(each["path"] for each in rule["http"]["paths"])
            expect(found == paths, f"the Ingress carries {found}")
            for each in rule["http"]["paths"]:
                expect(each["pathType"] == "Exact", "the Ingress carries more than the paths")
                expect(each["backend"]["service"] == {"name": name, "port": {"name": "http"}}, "the Ingress goes elsewhere")
    for route in every("HTTPRoute"):
        (rule,) = route["spec"]["rules"]
        found = sorted(each["path"]["value"] for each in rule["matches"])
        expect(found == paths, f"the HTTPRoute carries {found}")
        service = next(d for d in every("Service") if d["metadata"]["name"] == name)
        expect(rule["backendRefs"] == [{"name": name, "port": service["spec"]["ports"][0]["port"]}], "the HTTPRoute goes elsewhere")


def it_stops_in_time():
    grace = pod["terminationGracePeriodSeconds"]
    expect(grace > seconds(settings["shutdown"]["deadline"]), "killed before shutdown.deadline")
    expect(seconds(settings["shutdown"]["delay"]) < seconds(settings["shutdown"]["deadline"]), "delay is over the deadline")


def probes_ask_the_admin_port():
    for probe, path in {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}.items():
        expect(container[probe]["httpGet"] == {"path": path, "port": "admin"}, f"{probe} does not ask {path} of the admin port")
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for setting, port in ((settings["listen"], "http"), (settings["admin"]["listen"], "admin")):
        expect(setting == f"0.0.0.0:{ports[port]}", f"the bridge does not listen where the port {port} is")


def settings_reach_the_bridge():
    expect(container["args"] == ["serve", "--config", f"{mounts['config']['mountPath']}/config.yaml"], "it reads other settings")
    expect(settings["journal"]["dir"] == mounts["journal"]["mountPath"], "the journal is not on its volume")
    digest = hashlib.sha256(settings_text.rstrip("\n").encode()).hexdigest()
    expect(spec["template"]["metadata"]["annotations"]["checksum/config"] == digest, "a change of settings rolls no pod")


def keys_come_from_files():
    expect("key_made_up" not in settings_text, "a key is in the ConfigMap")
    file = json.loads(pathlib.Path("helm/retell-bridge/files/dashboard.json").read_text())
    for dashboard in dashboards:
        expect(json.loads(dashboard["data"]["retell-bridge.json"]) == file, "the ConfigMap's dashboard is another one")
        expect(dashboard["metadata"]["labels"].get("grafana_dashboard") == "1", "Grafana's side-car does not find it")
    (source,) = volumes["keys"]["projected"]["sources"]
    files = {f"{mounts['keys']['mountPath']}/{item['path']}" for item in source["secret"]["items"]}
    wanted = {each["keys_file"] for each in settings["sources"].values()}
    expect(files == wanted and wanted, f"the bridge reads {sorted(wanted)}, and is given {sorted(files)}")
    expect("subPath" not in mounts["keys"], "a changed Secret does not reach a subPath")
    secrets = {d["metadata"]["name"]: set(d["data"]) for d in every("Secret")}
    if secrets:
        expect(secrets == {source["secret"]["name"]: set(settings["sources"])}, "the Secret is not the one that is mounted")


def certificates_and_passwords_come_from_files():
    named = re.findall(r"/etc/retell-bridge/[^\s\"',]+", settings_text)
    for path in named:
        at = [name for name, mount in mounts.items() if path.startswith(f"{mount['mountPath']}/")]
        expect(len(at) == 1 and at[0] in volumes, f"the bridge looks for {path}, which no volume holds")
    for volume, what in volumes.items():
        if "secret" in what:
            mount = mounts[volume]
            expect(mount["readOnly"] is True and "subPath" not in mount, f"a changed Secret does not reach {volume}")
            expect(what["secret"]["defaultMode"] == 0o440, f"others may read {volume}")
    services = {d["metadata"]["name"]: d["spec"] for d in documents if d["kind"] == "Service"}
    protocol = "https" if "tls" in settings else "http"
    expect(services[name]["ports"][0]["appProtocol"] == protocol, f"the Service does not say that it is {protocol}")
    expect(("tls" in settings) == ("tls" in volumes), "a certificate without a setting, or the other way round")


def the_monitor_scrapes_every_instance_once():
    for monitor in (d["spec"] for d in documents if d["kind"] == "ServiceMonitor"):
        (endpoint,) = monitor["endpoints"]
        expect(set(monitor) == {"jobLabel", "selector", "endpoints"}, "ServiceMonitor: a field nobody has looked at")
        expect(set(endpoint) == {"port", "path", "interval", "relabelings"}, "ServiceMonitor: an endpoint's field nobody has looked at")
        expect(endpoint["port"] == "admin" and endpoint["path"] == "/metrics", "ServiceMonitor: not the metrics")
        expect(monitor["jobLabel"] == "app.kubernetes.io/name", "the alerts look for the job retell-bridge")
        chosen = [
            d["metadata"]["name"]
            for d in documents
            if d["kind"] == "Service" and monitor["selector"]["matchLabels"].items() <= d["metadata"]["labels"].items()
        ]
        expect(chosen == [f"{name}-headless"], f"ServiceMonitor chooses {chosen}")


for fact in (
    fixed_for_ever, claims_are_kept, names_are_short_enough, services_find_the_pods, pod_security_is_restricted,
    it_stops_in_time, probes_ask_the_admin_port, settings_reach_the_bridge, keys_come_from_files,
    certificates_and_passwords_come_from_files, the_monitor_scrapes_every_instance_once, only_the_instances_are_selected,
    every_pod_finds_its_files, the_test_asks_every_instance, the_ways_in_carry_the_sources_and_nothing_else,
):  # fmt: skip
    fact()
if problems:
    sys.exit("\n".join(problems))
