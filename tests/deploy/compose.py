"""usage: compose.py JSON: docker-compose.yml, as Docker Compose itself has read it."""

import json
import pathlib
import re
import sys

import yaml

services = json.loads(pathlib.Path(sys.argv[1]).read_text())["services"]
problems = []


def expect(condition, sentence):
    if not condition:
        problems.append(sentence)


for name, service in services.items():
    for port in service.get("ports", []):
        expect(port.get("host_ip") == "127.0.0.1", f"{name}: port {port['target']} is open to other machines")
    if "build" not in service:
        expect(re.search(r":v?\d+\.\d+\.\d+$", service["image"]), f"{name}: {service['image']} is no fixed version")
    for volume in service.get("volumes", []):
        if volume["type"] == "bind":
            expect(pathlib.Path(volume["source"]).is_file(), f"{name}: {volume['source']} does not exist")
            expect(volume.get("read_only"), f"{name}: {volume['source']} can be written")
    if name not in ("topics", "sender"):  # they do one thing and end
        expect("test" in service.get("healthcheck", {}), f"{name}: no health check")

order = {name: {k: v["condition"] for k, v in s.get("depends_on", {}).items()} for name, s in services.items()}
expect(order["topics"] == {"kafka": "service_healthy"}, "topics does not wait for Kafka")
expect(order["bridge"] == {"topics": "service_completed_successfully"}, "bridge does not wait for the topics")
expect(order["sender"] == {"bridge": "service_healthy"}, "sender does not wait for the bridge")
expect(services["sender"]["profiles"] == ["sample"], "sender is not behind the profile sample")
expect(services["topics"]["command"] == ["topics", "apply"], "topics does not run `topics apply`")
expect(
    {v["target"] for v in services["bridge"]["volumes"] if v["type"] == "volume"} == {"/var/lib/retell-bridge"},
    "the journal is not on a volume",
)

pom = pathlib.Path("tests/tools/kafka/pom.xml")
if pom.exists():
    tested = re.search(r"<kafka\.version>(.*)</kafka\.version>", pom.read_text())[1]
    expect(services["kafka"]["image"].endswith(f":{tested}"), f"the tests run Kafka {tested}, compose another")

# What Grafana is told and what it is given.
provisioning = pathlib.Path("deploy/grafana")
(asked,) = yaml.safe_load((provisioning / "datasources.yaml").read_text())["datasources"]
expect(asked["url"] == "http://prometheus:9090", "Grafana does not ask the Prometheus of the file")
(provider,) = yaml.safe_load((provisioning / "dashboards.yaml").read_text())["providers"]
given = {v["target"]: v["source"] for v in services["grafana"]["volumes"]}
dashboard = f"{provider['options']['path']}/retell-bridge.json"
expect(given.get(dashboard, "").endswith("helm/retell-bridge/files/dashboard.json"), "Grafana is not given the dashboard")
home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
expect(home == dashboard, "Grafana does not begin with the dashboard")

# What Prometheus is told and what it is given.
config = yaml.safe_load(pathlib.Path("deploy/prometheus/prometheus.yml").read_text())
(scrape,) = config["scrape_configs"]
expect(asked["jsonData"]["timeInterval"] == config["global"]["scrape_interval"], "Grafana takes another step than the scrapes")
expect(scrape["job_name"] == "retell-bridge", "the alerts look for the job retell-bridge")
expect(scrape["static_configs"] == [{"targets": ["bridge:9464"]}], "Prometheus does not scrape the bridge")
mounted = {v["target"] for v in services["prometheus"]["volumes"]}
expect({f"/etc/prometheus/{file}" for file in config["rule_files"]} <= mounted, "the alerts are not mounted")
if problems:
    sys.exit("\n".join(problems))
