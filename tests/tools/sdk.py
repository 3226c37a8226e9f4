"""Retell's Python SDK as an oracle: python sdk.py < cases > results.

In: a JSON list of {op: "sign", key, body} and {op: "verify", key, body, header}; bodies are UTF-8 in hexadecimal.
Out: a JSON list of headers and verdicts, in the same order.
"""

import json
import sys

from retell import Retell
from retell.lib.webhook_auth import symmetric


def answer(case):
    body, key = bytes.fromhex(case["body"]).decode("utf-8"), case["key"]
    if case["op"] == "sign":
        return symmetric["sign"](body, key)
    return Retell(api_key=key).verify(body, key, case["header"])


json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
