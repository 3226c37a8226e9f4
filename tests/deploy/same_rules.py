"""usage: same_rules.py RULES RENDERED...: the PrometheusRule in each rendered chart holds exactly the rules of the file."""

import sys

import yaml

rules, *rendered = sys.argv[1:]
with open(rules) as file:
    wanted = yaml.safe_load(file)["groups"]
if not rendered:
    sys.exit("no rendered chart was named")
for name in rendered:
    with open(name) as file:
        found = [doc["spec"] for doc in yaml.safe_load_all(file) if doc and doc["kind"] == "PrometheusRule"]
    if found != [{"groups": wanted}]:
        sys.exit(f"{name}: its PrometheusRule does not hold the rules of {rules}")
