"""What each consumer must have at the end. Every function fails with one line: how many are wrong, and the first."""

import collections
import hashlib

from events import COLUMNS, PRIVATE
from handler import recording


def same(what, found, expected):
    """Two dicts or two sets."""
    if isinstance(expected, (set, frozenset)):
        found, expected = dict.fromkeys(found), dict.fromkeys(expected)
    missing = [key for key in expected if key not in found]
    beyond = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and found[key] != expected[key]]
    if missing or beyond or other:
        first = (missing or beyond or other)[0]
        told = f"{len(missing)} missing, {len(beyond)} too many, {len(other)} other than expected; first: {first}"
        if other and first == other[0]:
            told += f": {brief(found[first], expected[first])}"
        raise AssertionError(f"{what}: {told}")


def brief(found, expected):
    if isinstance(expected, dict):
        pairs = [(key, found.get(key), expected[key]) for key in expected if found.get(key) != expected[key]]
        return "; ".join(f"{key} is {str(is_)[:60]!r}, not {str(not_)[:60]!r}" for key, is_, not_ in pairs)
    return f"{str(found)[:80]!r}, not {str(expected)[:80]!r}"


def of_its_life(consumer):
    assert not consumer.told, "; ".join(consumer.told)


def rows(consumer, expected):
    assert set(next(iter(expected.values()))) == set(COLUMNS)
    same("rows", consumer.store.rows(), expected)


def seen(consumer, expected):
    same("seen", consumer.store.seen(), expected)


def plain(headers):
    return tuple(sorted((name, value) for name, value in headers if name != "reason"))


def dead_letters(letters, poison):
    """Each at least once, as it was, with a reason; that of a wrong signature is `signature`."""
    expected = {(key, value, plain(headers)) for _, _, key, value, headers in poison}
    same("dead letters", {(r.key, r.value, plain(r.headers)) for r in letters}, expected)
    reasons = {(r.value, plain(r.headers)): dict(r.headers).get("reason", b"").decode() for r in letters}
    for name, _, _, value, headers in poison:
        reason = reasons[value, plain(headers)]
        assert (reason == "signature") == (name in ("forged", "stale")) and reason, f"{name}: the reason is {reason!r}"
    # A kill between a letter and its offset's commit repeats it; each consumer is killed once.
    assert len(letters) <= len(poison) + 3, f"{len(letters)} letters for {len(poison)} poison records"


def log(consumer):
    text = "".join(log.read_text(errors="replace") for log in consumer.folder.glob(f"{consumer.name}*.log"))
    told = [word for word in PRIVATE if word in text]
    assert not told, f"its log has {told}"


def partitions(consumer, records, customers):
    """Java's own data and the bridge's: each call on one partition, as Kafka has it and as the consumer saw it."""
    on = {record.key.decode(): record.partition for record in records}
    store = consumer.store
    same("customers", dict(store.ask("SELECT call_id, partition FROM customers")), {k: on[k] for k in customers})
    same("call_partitions", dict(store.ask("SELECT call_id, partition FROM call_partitions")), on)
    joined = store.ask("SELECT c.partition, p.partition FROM customers c JOIN call_partitions p USING (call_id)")
    apart = [pair for pair in joined if pair[0] != pair[1]]
    assert len(joined) == len(on) and not apart, f"{len(joined)} joined of {len(on)}, {len(apart)} on two partitions"


def recordings(consumer, expected):
    """{call_id: number}"""
    wanted = {hashlib.sha256(call_id.encode()).hexdigest(): recording(str(number)) for call_id, number in expected.items()}
    same("recordings", consumer.store.recordings(), wanted)


def forwarded(handler, records):
    """Each record came to the handler, byte for byte; the first time in the order of its topic."""
    sha = {dict(record.headers).get("ce_id", b"").decode(): hashlib.sha256(record.value or b"").hexdigest() for record in records}
    came = {ce_id: body for _, _, ce_id, _, body in handler.seen if ce_id}
    genuine = {dict(r.headers)["ce_id"].decode() for r in records if r.key != b"call_poison"}
    same("genuine, but of no valid signature", {ce_id for _, _, ce_id, status, _ in handler.seen if status == 401} & genuine, set())
    same("ce-id and body", came, {ce_id: body for ce_id, body in sha.items() if ce_id})
    assert not handler.wrong, f"{len(handler.wrong)} wrong, first: {handler.wrong[0]}"


def forwarded_in_order(handler, records):
    expected, found = collections.defaultdict(dict), collections.defaultdict(dict)
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        ce_id = dict(record.headers).get("ce_id", b"").decode()
        if record.key != b"call_poison":
            expected[record.topic, record.key.decode()][ce_id] = True
    for event, call_id, ce_id, _, _ in handler.seen:
        if (f"retell.{event}", call_id) in expected:
            found[f"retell.{event}", call_id][ce_id] = True
    same("order per key", {k: list(v) for k, v in found.items()}, {k: list(v) for k, v in expected.items()})


def forwarded_letters(handler, letters):
    """What the handler refused for good, and nothing else."""
    refused = {(body, f"http_{status}") for _, _, _, status, body in handler.seen if status in (400, 401)}
    found = {(hashlib.sha256(r.value or b"").hexdigest(), dict(r.headers).get("reason", b"").decode()) for r in letters}
    assert len(refused) > 15, f"the handler refused {len(refused)}: too few to be a test"
    same("dead letters", found, refused)


def all_events(records, ids):
    """The topic with everything: each event, those of one call in the journal's order."""
    places = collections.defaultdict(dict)
    for record in records:
        headers = dict(record.headers)
        places[record.key].setdefault(headers["ce_id"].decode(), int(headers["retell_position"]))
    same("ids", {ce_id for of_call in places.values() for ce_id in of_call}, ids)
    same("order", {key: list(of.values()) for key, of in places.items()}, {key: sorted(of.values()) for key, of in places.items()})


def sunk(lines, records):
    values = collections.Counter(record.value.decode() for record in records)
    same("lines of the file", collections.Counter(lines), values)
