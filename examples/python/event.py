"""Reads a record of retell-bridge: the event in it, or the reason why no second try can help."""
import datetime
import hmac
import json
import re
from typing import NamedTuple

from confluent_kafka import Message
from retell.types import CallResponse, PhoneCallResponse, WebCallResponse


class Event(NamedTuple):
    ce_id: str
    time: str
    position: int
    origin: str
    type: str
    call_id: str
    call: CallResponse


def verify(value: bytes, signature: str, ce_time: str, keys: list[str]) -> bool:
    """Did Retell sign this? With the event's time as the clock: the SDK's own check refuses what is five minutes old.
    Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as you can."""
    found = re.fullmatch("v=([0-9]{1,16}),d=([0-9a-f]{64})", signature)
    if not found or not ce_time.endswith("Z"):
        return False
    try:
        stamp, clock = int(found[1]), round(datetime.datetime.fromisoformat(ce_time).timestamp() * 1000)
    except ValueError:
        return False
    digests = [hmac.new(key.encode(), value + str(stamp).encode(), "sha256").hexdigest() for key in keys]
    return abs(clock - stamp) <= 300_000 and any(hmac.compare_digest(digest, found[2]) for digest in digests)


def read(message: Message, keys: list[str]) -> Event | str | None:
    """None: of a type that is not a call's. Pure: whatever fails in here is the record's own fault."""
    headers, value = dict(message.headers() or []), message.value() or b""

    def header(name):
        return (headers.get(name) or b"").decode(errors="replace")  # somebody else's may be no text

    try:
        if not re.fullmatch(r"(com\.retellai\.call_(started|ended|analyzed))?", header("ce_type")):
            return None
        if not header("ce_id"):
            return "no_ce_id"
        if keys and not verify(value, header("retell_signature"), header("ce_time"), keys):
            return "signature"
        body = json.loads(value, parse_constant=int)  # which takes no NaN, as JSON has none
        call = body["data"] if body.get("call") is None else body["call"]  # `data`: its older name
        # The SDK's type without its validation: a new field or value from Retell must not stop a consumer.
        kind = WebCallResponse if call.get("call_type") == "web_call" else PhoneCallResponse
        call, type_ = kind.construct(**call), text(body["event"])
        if not (type_ and text(call.call_id)):
            return "unreadable"
        place = header("ce_time"), int(header("retell_position") or 0)
        return Event(header("ce_id"), *place, header("retell_origin"), type_, text(call.call_id), call)
    except Exception:
        return "unreadable"


def text(value) -> str | None:
    """As PostgreSQL can hold it: no NUL, no half of a surrogate pair. JSON allows both."""
    return value.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(value, str) else None


def number(value) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None
