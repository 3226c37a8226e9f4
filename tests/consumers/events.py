"""Made-up events: 5,000 of 1,700 calls, out of order, some never, some twice; and what a right consumer makes of them.

Everything is said twice, once as the body that is sent and once as the row that is expected: `Event.knows`.
"""

import dataclasses
import hashlib
import hmac
import json
import random
import time

API_KEY = "key_made_up_for_the_consumers"
CALLS = 1700
TYPES = ["call_started", "call_ended", "call_analyzed"]
# Words of which no consumer's log may have one: a number's beginning, a transcript's, the key.
PRIVATE = ["+1555010", "Zanzibar", API_KEY]
MINUTES_5 = 300_000


def signature(body, v, key=API_KEY):
    return f"v={v},d={hmac.new(key.encode(), body + str(v).encode(), hashlib.sha256).hexdigest()}"


def now_ms():
    return time.time_ns() // 1_000_000


@dataclasses.dataclass
class Event:
    type: str
    call_id: str
    body: bytes
    # The columns that the event sets.
    knows: dict
    number: int = 0
    late: bool = False  # sent when all others have been read
    twice: bool = False
    old: bool = False  # signed four and a half minutes ago
    same_clock: "Event | None" = None  # signed at the same millisecond as that one
    refused: bool = False  # forward's handler says 400 to it
    v: int = 0
    ce_id: str = ""


def _body(type, call, note):
    """As Retell may print it, and as no JSON printer would print it again."""
    text = json.dumps({"event": type, "call": call, "a_new_field": note}, ensure_ascii=False)
    return text.replace("0.25", "0.250").replace("/", "\\/").encode()


class Made:
    """The events in the order of sending, by call in a fixed order for each sender."""

    def __init__(self, recordings, seed=8):
        self.random = random.Random(seed)
        self.recordings = {}  # call_id: path of what is to be fetched
        self.base = recordings
        self.events = []
        self.updates = []
        for number in range(CALLS):
            self._call(number)
        # Disorder: what a call sends comes out of order and far apart, mixed with the others'. And some so late that
        # everybody has read the rest: beginnings of calls that are long analysed, and analyses older than those read.
        self.late = [event for event in self.events if event.late]
        self.events = [event for event in self.events if not event.late]
        self.random.shuffle(self.events)
        self._ties()
        for number in range(20):
            self._transcripts(number)
        step = len(self.events) // len(self.updates)
        for at, update in enumerate(self.updates):
            self.events.insert(at * (step + 1), update)
        for event in self.random.sample(self.events, 200):
            event.twice = True
        for event in self.random.sample(self.events, 800):
            event.old = event.same_clock is None
        self.consumed = [event for event in self.events if event.type in TYPES] + self.late

    def _call(self, number):
        call_id = f"call_{self.random.randbytes(16).hex()}"
        call = {
            "call_type": "phone_call", "call_id": call_id, "agent_id": f"agent_{number % 7}", "to_number": "+15550100000",
            "from_number": f"+1555010{number:04}", "start_timestamp": 1_790_000_000_000 + number * 1000, "price": 0.25,
            "metadata": {"number": number, "where": "http://example.com/é"},
        }  # fmt: skip
        first = {"agent_id": call["agent_id"], "started_ms": call["start_timestamp"]}
        ended = call | {
            "end_timestamp": call["start_timestamp"] + 61_000 + number, "disconnection_reason": "user_hangup",
            "transcript": f"Agent: Zanzibar {number}?\nUser: Oui, é.\n" + "Agent: Mhm.\n" * (8000 if number % 300 == 7 else 20),
        }  # fmt: skip
        storage = {17: {"opt_out_sensitive_data_storage": True}, 18: {"data_storage_setting": "basic_attributes_only"}}
        off = storage.get(number % 200, {})
        if off or number % 200 == 19:
            ended |= off | {"recording_url": f"{self.base}/recordings/{number}.wav?sig=made%2Fup"}
            if off:
                self.recordings[call_id] = number
        second = first | {"ended_ms": ended["end_timestamp"], "reason": "user_hangup", "transcript": ended["transcript"]}
        parts = [Event("call_started", call_id, b"", first), Event("call_ended", call_id, b"", second)]
        # Some calls are analysed again, and it comes out differently; some never; some never connect, or never end.
        analyses = 2 if number % 24 == 5 else 0 if number % 100 == 3 else 1
        for time_ in range(analyses):
            summary = f"Zanzibar {number}, look {time_}"
            parts.append(Event("call_analyzed", call_id, b"", second | {"summary": summary}, time_))
        if number % 34 in (1, 2) and not off:
            parts.pop(number % 34 - 1)
        for part in parts:
            part.late = number % 17 == 4 if part.type == "call_started" else part.number == 1 and number % 48 == 5
            part.old = part.late and part.number == 1
            if part.type == "call_started":
                said = call | {"call_status": "ongoing"}
            elif part.type == "call_ended":
                said = ended | {"call_status": "ended"}
                part.refused = number % 170 == 9
                said["metadata"] = call["metadata"] | {"refuse": part.refused}
            else:
                said = ended | {"call_analysis": {"call_summary": part.knows["summary"], "user_sentiment": "Neutral"}}
            part.body = _body(part.type, said, {"of": number, "part": part.number})
        self.events += parts

    def _ties(self):
        """Twins of analyses with one clock: the position decides, as a number (999 comes before 1001)."""
        seen = {}
        for event in self.events:
            if event.type == "call_analyzed":
                seen.setdefault(event.call_id, []).append(event)
        for first, again in [pair for pair in seen.values() if len(pair) == 2][::3]:
            again.same_clock = first
            self.events.remove(first)
            self.events.insert(self.random.randrange(300, 700), first)
            self.events.remove(again)
            self.events.insert(self.random.randrange(1500, 2000), again)

    def _transcripts(self, number):
        """Many of one call on one topic, for the order that forward keeps."""
        call_id = f"call_{self.random.randbytes(16).hex()}"
        for turn in range(30):
            call = {"call_id": call_id, "transcript": "Zanzibar. " * (turn + 1), "metadata": {"turn": turn}}
            self.updates.append(Event("transcript_updated", call_id, _body("transcript_updated", call, turn), {}))
        # All calls are talking at once, each in its own order.
        self.updates.sort(key=lambda event: json.loads(event.body)["call"]["metadata"]["turn"])

    def rows(self, position):
        """The table `calls` as it must be; `position` tells an event's place in the journal."""
        rows = {}
        for event in self.consumed:
            row = rows.setdefault(event.call_id, dict.fromkeys(COLUMNS) | {"analyses": 0, "events": 0, "latest": (0, 0)})
            row["events"] += 1
            known = dict(event.knows)
            if event.type == "call_analyzed":
                row["analyses"] += 1
                mark = (event.v, position[event.ce_id])
                if mark < row["latest"]:
                    known.pop("summary")
                else:
                    known |= {"analyzed_at": rfc3339(event.v), "analyzed_position": str(mark[1])}
                    row["latest"] = mark
            row |= known
            rows[event.call_id] = row
        for row in rows.values():
            row.pop("latest")
        return rows


COLUMNS = ["agent_id", "started_ms", "ended_ms", "reason", "transcript", "summary", "analyses", "analyzed_at",
           "analyzed_position", "events"]  # fmt: skip


def rfc3339(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000)) + f".{ms % 1000:03}Z"


def poison():
    """What is no event, each with a signature that holds; and two whose signature does not."""
    values = {
        "cut": b'{"event":"call_ended","call":{"call_id":"call_poison"',
        "list": b'["call_ended"]',
        "text": b'"call_ended"',
        "number": b"17",
        "nothing": b"",
        "no_call": b'{"event":"call_ended"}',
        "no_id": b'{"event":"call_ended","call":{}}',
        "null_call": b'{"event":"call_ended","call":null}',
        "no_event": b'{"call":{"call_id":"call_poison"}}',
        "no_ce_id": b'{"event":"call_ended","call":{"call_id":"call_poison"}}',
        "tombstone": None,
    }
    whole = b'{"event":"call_started","call":{"call_id":"call_forged"}}'
    made = []
    for name, value in values.items():
        made.append(_poisoned(name, value, now_ms(), API_KEY, 0))
    made.append(_poisoned("forged", whole, now_ms(), "key_of_a_thief", 0))
    made.append(_poisoned("stale", whole, now_ms(), API_KEY, MINUTES_5 + 1))
    return made


def others():
    """Events that are no call's, as a topic with everything has them: consumers pass over them."""
    number, call = "+15550109999", {"call_id": "call_poison", "transcript": "Zanzibar"}
    bodies = {"chat_ended": {"chat": {"chat_id": "chat_1"}}, "call_inbound": {"call_inbound": {"from_number": number}}}
    bodies["transcript_updated"] = {"call": call}
    for type, rest in bodies.items():
        value = json.dumps({"event": type, **rest}).encode()
        yield _poisoned(type, value, now_ms(), API_KEY, 0, f"com.retellai.{type}")


def _poisoned(name, value, v, key, late, type="com.retellai.call_ended"):
    headers = {
        "ce_specversion": "1.0", "ce_id": hashlib.sha256(name.encode()).hexdigest()[:32], "ce_source": "/retell/default",
        "ce_type": type, "ce_time": rfc3339(v + late), "content-type": "application/json",
        "retell_signature": signature(value or b"", v, key), "retell_journal": "0" * 32, "retell_position": "1",
    }  # fmt: skip
    if name == "no_ce_id":
        headers.pop("ce_id")
    return name, b"call_poison", value, [(header, text.encode()) for header, text in headers.items()]
