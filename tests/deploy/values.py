"""usage: values.py CHART: every value has a `# --` sentence, itself or on a group above it, and stands in the schema."""

import json
import pathlib
import re
import sys

chart = pathlib.Path(sys.argv[1])
lines = (chart / "values.yaml").read_text().splitlines()
schema = json.loads((chart / "values.schema.json").read_text())
problems = []


def schema_at(path):
    """The schema's node for a path of keys; None where the schema does not know the path."""
    node = schema
    for key in path:
        if "$ref" in node:
            node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]]
        below = node.get("properties", {}).get(key, node.get("additionalProperties"))
        if not isinstance(below, dict):
            return None
        node = below
    return node


path = []  # (indent, key, whether it has a sentence)
sentence = False
count = 0
for number, line in enumerate(lines):
    if line.lstrip().startswith("#"):
        sentence = sentence or line.lstrip().startswith("# -- ")
        continue
    key = re.match(r"( *)([A-Za-z_]+):(.*)", line)
    if not key:
        sentence = False
        continue
    indent = len(key[1])
    path = [entry for entry in path if entry[0] < indent] + [(indent, key[2], sentence)]
    dotted = [entry[1] for entry in path]
    if schema_at(dotted) is None:
        problems.append(f"{'.'.join(dotted)} is not in values.schema.json")
    if key[3].strip():
        count += 1
        if not any(entry[2] for entry in path):
            problems.append(f"{'.'.join(dotted)} has no `# --` sentence")
    sentence = False
if count < 20:
    problems.append(f"only {count} values were found: is values.yaml still read rightly?")
if problems:
    sys.exit("\n".join(problems))
