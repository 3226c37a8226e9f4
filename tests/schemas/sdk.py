"""The schemas against the types of Retell's own SDK: every field that it has is declared, with a JSON type that fits.

Run by the Python that has the SDK. Fields that the schemas have beyond the SDK's must be among those below, with a reason.
"""

import json
import pathlib
import sys
import types
import typing

from retell.types.chat_response import ChatResponse
from retell.types.phone_call_response import PhoneCallResponse
from retell.types.web_call_response import WebCallResponse

# In Retell's documented sample of an event, and in no type of the SDK; the cost of a call, which a chat shares.
BEYOND = {
    "call.opt_out_sensitive_data_storage",
    "chat.chat_cost.total_duration_seconds",
    "chat.chat_cost.total_duration_unit_price",
}
# It shares the entries of `transcript_with_tool_calls`, which have more fields.
SHARED = "call.transcript_object."
JSON_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}

problems: list[str] = []
seen: set[str] = set()


def resolved(schema: dict, document: dict) -> dict:
    return document["$defs"][schema["$ref"].removeprefix("#/$defs/")] if "$ref" in schema else schema


def compare(annotation: object, schema: dict, document: dict, path: str) -> None:
    schema = resolved(schema, document)
    declared = schema.get("type")
    declared = set(declared if isinstance(declared, list) else [declared] if declared else [])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        for each in arguments:
            if each is not type(None):
                compare(each, schema, document, path)
        return
    if origin is typing.Literal:
        wanted = "string"
        unknown = set(arguments) - set(schema.get("examples", arguments))
        if unknown:
            problems.append(f"{path}: the SDK knows the values {sorted(unknown)}")
    elif isinstance(annotation, type) and hasattr(annotation, "model_fields"):
        wanted = "object"
        for name, field in annotation.model_fields.items():
            below = f"{path}.{name}"
            seen.add(below)
            if name not in schema.get("properties", {}):
                problems.append(f"{below}: the SDK has it, the schema not")
            else:
                compare(field.annotation, schema["properties"][name], document, below)
    elif origin is list:
        wanted = "array"
        compare(arguments[0], schema.get("items", {}), document, path)
    elif origin is dict:
        wanted = "object"
    elif annotation is object:
        wanted = None
        if declared:
            problems.append(f"{path}: anything for the SDK, {sorted(declared)} for the schema")
    else:
        wanted = JSON_TYPES[annotation]
    if declared and wanted and wanted not in declared and not (wanted == "integer" and "number" in declared):
        problems.append(f"{path}: {wanted} for the SDK, {sorted(declared)} for the schema")


def declared_paths(schema: dict, document: dict, path: str):
    schema = resolved(schema, document)
    for name, below in schema.get("properties", {}).items():
        yield f"{path}.{name}"
        yield from declared_paths(below, document, f"{path}.{name}")
    if "items" in schema:
        yield from declared_paths(schema["items"], document, path)


for name, model in (("call", PhoneCallResponse), ("call", WebCallResponse), ("chat", ChatResponse)):
    document = json.loads(pathlib.Path(f"schemas/{name}_analyzed.json").read_text())
    compare(model, document["properties"][name], document, name)
for name in ("call", "chat"):
    document = json.loads(pathlib.Path(f"schemas/{name}_analyzed.json").read_text())
    extra = set(declared_paths(document["properties"][name], document, name)) - seen - BEYOND
    extra = sorted(path for path in extra if not path.startswith(SHARED))
    problems += [f"{path}: the schema has it, the SDK not" for path in extra]
if len(seen) < 150:
    problems.append(f"only {len(seen)} fields were found in the SDK's types: are they still read rightly?")
if problems:
    sys.exit("\n".join(dict.fromkeys(problems)))
