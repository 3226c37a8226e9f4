"""The alerts: each says what it means, has a heading in the runbook, a firing and a quiet test, and metrics that exist.

The metrics' names are read from src/metrics.rs, where all of them stand.
"""

import pathlib
import re
import sys

import yaml

runbook = pathlib.Path("deploy/RUNBOOK.md").read_text()
rules_text = pathlib.Path("deploy/prometheus/rules/retell-bridge.yaml").read_text()
tests_text = "".join(file.read_text() for file in sorted(pathlib.Path("deploy/prometheus/tests").glob("*.yaml")))
tests = [
    test
    for file in sorted(pathlib.Path("deploy/prometheus/tests").glob("*.yaml"))
    for test in yaml.safe_load(file.read_text())["tests"]
]
rules = [rule for group in yaml.safe_load(rules_text)["groups"] for rule in group["rules"]]
alerts = [rule["alert"] for rule in rules if "alert" in rule]
problems = []

RUNBOOK_URL = "https://github.com/retell-bridge/retell-bridge/blob/main/deploy/RUNBOOK.md#"
for rule in rules:
    name, notes = rule["alert"], rule.get("annotations", {})
    if rule.get("labels", {}).get("severity") not in ("critical", "warning"):
        problems.append(f"{name}: severity is neither critical nor warning")
    for note in ("summary", "description"):
        if not notes.get(note, "").strip():
            problems.append(f"{name}: no {note}")
    if notes.get("runbook_url") != RUNBOOK_URL + name.lower():
        problems.append(f"{name}: runbook_url does not end with #{name.lower()}")

    fires = quiet = False
    for test in tests:
        for case in test.get("promql_expr_test", []):
            if f'alertname="{name}"' in case["expr"]:
                fires = fires or bool(case["exp_samples"])
                quiet = quiet or not case["exp_samples"]
    if not fires:
        problems.append(f"{name}: no test in which it fires")
    if not quiet:
        problems.append(f"{name}: no test in which it is quiet")

headings = re.findall(r"^## (RetellBridge\w+)$", runbook, re.MULTILINE)
if headings != alerts:
    problems.append(f"headings of the runbook and alerts differ, or their order: {sorted(set(headings) ^ set(alerts))}")

source = pathlib.Path("src/metrics.rs").read_text()
known = {f"retell_bridge_{name}" for name in re.findall(r'^ +\w+: \w+, "(\w+)", \[', source, re.MULTILINE)}
if len(known) < 20:
    problems.append(f"only {len(known)} metrics were found in src/metrics.rs: is it still read rightly?")
for where, text in (("rules", rules_text), ("tests", tests_text), ("RUNBOOK.md", runbook)):
    for name in sorted(set(re.findall(r"retell_bridge_[a-z_]+", text)) - {"retell_bridge_test"}):  # an event type
        if re.sub(r"_(bucket|sum|count)$", "", name) not in known:
            problems.append(f"{where}: there is no metric {name}")
if problems:
    sys.exit("\n".join(problems))
