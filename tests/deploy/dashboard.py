"""usage: dashboard.py EXPRESSIONS: the dashboard is one that Grafana's own model takes, every panel says what it shows, and
its metrics are exactly those of src/metrics.rs. Writes its expressions to the file as rules, for promtool to check.
"""

import json
import pathlib
import re
import sys

import yaml
from grafana_foundation_sdk.models.dashboard import Dashboard

data = json.loads(pathlib.Path("helm/retell-bridge/files/dashboard.json").read_text())
problems = []

model = Dashboard.from_json(data)
if len(model.panels or []) != len(data["panels"]):
    problems.append("Grafana's model has other panels than the file")
unknown = set(data) - set(json.loads(json.dumps(model.to_json(), default=lambda each: each.to_json())))
if unknown - {"uid"}:
    problems.append(f"Grafana's model does not know {sorted(unknown)}")

panels = [panel for panel in data["panels"] if panel["type"] != "row"]
if len({panel["id"] for panel in data["panels"]}) != len(data["panels"]):
    problems.append("two panels have one id")
cells = set()
for panel in data["panels"]:
    place = panel["gridPos"]
    taken = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
    if taken & cells or place["x"] + place["w"] > 24:
        problems.append(f"{panel['title']}: it lies over another panel, or beyond the edge")
    cells |= taken
for panel in panels:
    for field in ("title", "description"):
        if not panel.get(field, "").strip():
            problems.append(f"panel {panel['id']} has no {field}")
    if not panel["fieldConfig"]["defaults"].get("unit"):
        problems.append(f"{panel['title']}: no unit")
    for target in panel["targets"]:
        chosen = 'namespace=~"$namespace", instance=~"$instance"' in target["expr"]
        if target["datasource"]["uid"] != "${datasource}" or not chosen:
            problems.append(f"{panel['title']}: it does not follow the choice of Prometheus, namespace and instance")

expressions = [target["expr"] for panel in panels for target in panel["targets"]]
source = pathlib.Path("src/metrics.rs").read_text()
known = {f"retell_bridge_{name}" for name in re.findall(r'^ +\w+: \w+, "(\w+)", \[', source, re.MULTILINE)}
used = {
    re.sub(r"_(bucket|sum|count)$", "", name)
    for expression in expressions
    for name in re.findall(r"retell_bridge_[a-z_]+", expression)
}
if len(known) < 20:
    problems.append(f"only {len(known)} metrics were found in src/metrics.rs: is it still read rightly?")
problems += [f"there is no metric {name}" for name in sorted(used - known)]
problems += [f"{name} is on no panel" for name in sorted(known - used)]

rules = [
    {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m").replace("$namespace", ".*").replace("$instance", ".*")}
    for number, expression in enumerate(expressions)
]
pathlib.Path(sys.argv[1]).write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
if problems:
    sys.exit("\n".join(problems))
