"""usage: same_rules.py RULES RENDERED...: the PrometheusRule in each rendered chart holds exactly the rules of the file,
each selector with the namespace `retell`, and as many instances as the StatefulSet has.
"""

import re
import sys

import yaml

rules, *rendered = sys.argv[1:]
with open(rules) as file:
    wanted = yaml.safe_load(file)["groups"]
if not rendered:
    sys.exit("no rendered chart was named")
for rule in (rule for group in wanted for rule in group["rules"]):
    rule["expr"] = re.sub(r"< max_over_time\(.*", "< REPLICAS", rule["expr"])
for name in rendered:
    with open(name) as file:
        documents = [document for document in yaml.safe_load_all(file) if document]
    (replicas,) = [document["spec"]["replicas"] for document in documents if document["kind"] == "StatefulSet"]
    found = [document["spec"] for document in documents if document["kind"] == "PrometheusRule"]
    for rule in (rule for spec in found for group in spec["groups"] for rule in group["rules"]):
        bare = re.findall(r'\b(?:up|retell_bridge_[a-z_]+)\b(?!\{namespace="retell"[,}])', rule["expr"])
        if bare:
            sys.exit(f"{name}: {rule['alert']} looks into every namespace: {bare}")
        rule["expr"] = rule["expr"].replace('{namespace="retell"}', "").replace('{namespace="retell",', "{")
        if rule["alert"] == "RetellBridgeInstanceMissing":
            rule["expr"] = rule["expr"].replace(f"< {replicas}", "< REPLICAS")
    if found != [{"groups": wanted}]:
        sys.exit(f"{name}: its PrometheusRule does not hold the rules of {rules}")
