"""usage: rendered.py FILE RELEASE: what must hold of every rendering of the chart, whatever the values.

First of all what an upgrade cannot change: claim template, service name and selector of the StatefulSet. A change here
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


def only(kind):
    found = [document for document in documents if document["kind"] == kind]
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
dashboards = [d for d in documents if d["kind"] == "ConfigMap" and d["metadata"]["name"].endswith("-dashboard")]
documents = [d for d in documents if d not in dashboards]
settings_text = only("ConfigMap")["data"]["config.yaml"]
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


def pod_security_is_restricted():
    outer, inner = pod["securityContext"], container["securityContext"]
    expect(outer["runAsNonRoot"] is True and outer["runAsUser"] > 0, "the pod may run as root")
    expect(outer["seccompProfile"] == {"type": "RuntimeDefault"}, "no seccomp profile")
    expect(outer["fsGroup"] == outer["runAsGroup"], "the volume is not the pod's group's")
    expect(inner["allowPrivilegeEscalation"] is False, "privileges may grow")
    expect(inner["readOnlyRootFilesystem"] is True, "the root file system may be written")
    expect(inner["capabilities"] == {"drop": ["ALL"]}, "capabilities are left")
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        expect(field not in pod, f"{field} is set")
    allowed = {"configMap", "projected", "secret", "emptyDir"}
    expect(all(set(v) - {"name"} <= allowed for v in volumes.values()), "a volume of a kind that restricted forbids")
    expect(pod["automountServiceAccountToken"] is False, "the pod gets a token")
    expect(only("ServiceAccount")["automountServiceAccountToken"] is False, "the service account hands out a token")
    # Else a Service called retell-bridge puts RETELL_BRIDGE_PORT into the environment, where settings are read from.
    expect(pod["enableServiceLinks"] is False, "other Services would show up among the settings")


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
    secrets = {d["metadata"]["name"]: set(d["data"]) for d in documents if d["kind"] == "Secret"}
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
        expect(set(endpoint) == {"port", "path", "interval"}, "ServiceMonitor: an endpoint's field nobody has looked at")
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
    certificates_and_passwords_come_from_files, the_monitor_scrapes_every_instance_once,
):  # fmt: skip
    fact()
if problems:
    sys.exit("\n".join(problems))
