"""usage: same_topics.py PLANNED RENDERED: the chart's KafkaTopics are those that `topics plan --format strimzi` prints."""

import sys

import yaml


def topics(name):
    with open(name) as file:
        found = [doc for doc in yaml.safe_load_all(file) if doc and doc["kind"] == "KafkaTopic"]
    return {doc["metadata"]["name"]: (doc["metadata"]["labels"]["strimzi.io/cluster"], doc["spec"]) for doc in found}


planned, rendered = (topics(name) for name in sys.argv[1:])
if not planned:
    sys.exit("nothing was planned")
if planned != rendered:
    sys.exit(f"planned:  {planned}\nrendered: {rendered}")
with open(sys.argv[2]) as file:
    (user,) = [doc for doc in yaml.safe_load_all(file) if doc and doc["kind"] == "KafkaUser"]
rights = {(acl["resource"]["name"], *acl["operations"]) for acl in user["spec"]["authorization"]["acls"]}
if rights != {(spec["topicName"], "Write") for _, spec in planned.values()}:
    sys.exit(f"the user may do something else than write to the topics: {sorted(rights)}")
