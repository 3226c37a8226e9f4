"""Keeps one row per Retell call in PostgreSQL, with its transcript and summary, from the topics of retell-bridge.
Kafka hands out each record at least once; the table `seen`, written in one transaction with the row, makes that once."""
import datetime, functools, hmac, json, os, random, re, signal, sys, time, typing

import psycopg
from confluent_kafka import Consumer, KafkaException, Message, Producer
from psycopg.rows import dict_row
from retell.types import CallResponse, PhoneCallResponse, WebCallResponse

GROUP = os.environ.get("KAFKA_GROUP", "retell-python")
TOPICS = os.environ.get("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed").split(",")
DEAD_LETTERS = os.environ.get("DEAD_LETTERS", f"retell.{GROUP}.dead")
REPLAY = os.environ.get("REPLAY")  # a run id printed by `retell-bridge replay`: its records are taken once more
KEYS = [key.strip() for key in os.environ.get("RETELL_API_KEYS", "").split(",") if key.strip()]
DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://localhost/retell")
# Kafka's security settings (security.protocol, sasl.…) belong here. 16 MiB: the bridge takes bodies of 8 MiB.
KAFKA = {"bootstrap.servers": os.environ.get("KAFKA_BROKERS", "localhost:9092"), "message.max.bytes": 16 << 20}
# How long a ce_id is remembered: longer than the topics' retention.ms and segment.ms. A group can be set back so far.
REMEMBER_S = 35 * 24 * 3600
TABLES = """CREATE TABLE IF NOT EXISTS seen(ce_id TEXT PRIMARY KEY, seen_at BIGINT NOT NULL, replay TEXT);
CREATE TABLE IF NOT EXISTS calls(call_id TEXT PRIMARY KEY, agent_id TEXT, started_ms BIGINT, ended_ms BIGINT,
  reason TEXT, transcript TEXT, summary TEXT, analyses INTEGER NOT NULL DEFAULT 0, analyzed_at TEXT,
  analyzed_position TEXT, events INTEGER NOT NULL DEFAULT 0)"""
Event = typing.NamedTuple("Event", ce_id=str, time=str, position=int, origin=str, type=str, call_id=str, call=CallResponse)

class Poison(Exception):
    """A record that no second try can help; its text becomes the dead letter's `reason`."""

log = functools.partial(print, file=sys.stderr, flush=True)  # kinds and places: never a body, key or number

def verify(value: bytes, signature: str, ce_time: str, keys: list[str]) -> bool:
    """Did Retell sign this? With the event's time as the clock: the SDK's own check refuses what is five minutes old.
    Optional, the bridge has checked. WHOEVER HOLDS THE KEY CAN PLACE CALLS: give it to as few consumers as you can."""
    if not (found := re.fullmatch("v=([0-9]{1,16}),d=([0-9a-f]{64})", signature)) or not ce_time.endswith("Z"):
        return False
    stamp, clock = int(found[1]), round(datetime.datetime.fromisoformat(ce_time).timestamp() * 1000)
    digests = [hmac.new(key.encode(), value + str(stamp).encode(), "sha256").hexdigest() for key in keys]
    return abs(clock - stamp) <= 300_000 and any(hmac.compare_digest(digest, found[2]) for digest in digests)

def text(value) -> str | None:  # as PostgreSQL can hold it: no NUL, no half of a surrogate pair; JSON allows both
    return value.encode("utf-8", "replace").decode().replace("\0", "") if isinstance(value, str) else None

def number(value) -> int | None:
    return value if type(value) is int and abs(value) < 2**63 else None

def read(message: Message) -> Event:
    """Pure: whatever fails in here is the record's own fault."""
    try:
        header = lambda name: (dict(message.headers() or []).get(name) or b"").decode()  # others' may be no text
        if not header("ce_id"):
            raise Poison("no_ce_id")
        if KEYS and not verify(message.value(), header("retell_signature"), header("ce_time"), KEYS):
            raise Poison("signature")
        body = json.loads(message.value(), parse_constant=int)  # which takes no NaN, as JSON has none
        call = body.get("call") or body["data"]  # `data`: its older name
        # The SDK's type without its validation: a new field or value from Retell must not stop a consumer.
        call = (WebCallResponse if call.get("call_type") == "web_call" else PhoneCallResponse).construct(**call)
        if not (text(body["event"]) and text(call.call_id)):
            raise Poison("unreadable")
        place = header("ce_time"), int(header("retell_position") or 0)
        return Event(header("ce_id"), *place, header("retell_origin"), body["event"], text(call.call_id), call)
    except Exception as error:
        raise error if isinstance(error, Poison) else Poison("unreadable")

def merge(row: dict, event: Event, again: bool):
    """Each event sets only what it knows, whenever it comes: where it `wins` it replaces, else it only fills gaps."""
    call, wins = event.call, False
    known = {"agent_id": text(call.agent_id), "started_ms": number(call.start_timestamp)}
    if event.type in ("call_ended", "call_analyzed"):
        known |= {"ended_ms": number(call.end_timestamp), "transcript": text(call.transcript)}
        known |= {"reason": text(call.disconnection_reason)}
        wins = row["analyzed_at"] is None
    if event.type == "call_analyzed":  # an analysis can be run again: the later one wins, in whichever order they come
        wins = wins or (event.time, event.position) >= (row["analyzed_at"], int(row["analyzed_position"]))
        row["analyses"] += not again
        if wins:
            row["summary"] = text(getattr(call.call_analysis, "call_summary", None))
            row |= {"analyzed_at": event.time, "analyzed_position": str(event.position)}
    row |= {name: value for name, value in known.items() if value is not None and (wins or row[name] is None)}
    row["events"] += not again

def store(db: psycopg.Connection, event: Event):
    """The effect and the memory of it in one transaction: after a kill both are there, or neither."""
    replay = REPLAY if REPLAY and event.origin == f"replay:{REPLAY}" else None
    with db.transaction():
        # The row is locked before `seen` is asked: while partitions change hands, two consumers may hold one record.
        db.execute("INSERT INTO calls(call_id) VALUES (%s) ON CONFLICT DO NOTHING", [event.call_id])
        row = db.execute("SELECT * FROM calls WHERE call_id=%s FOR UPDATE", [event.call_id]).fetchone()
        known = db.execute("SELECT replay FROM seen WHERE ce_id=%s", [event.ce_id]).fetchone()
        if known and replay in (None, known["replay"]):
            return
        merge(row, event, again=known is not None)
        columns = ", ".join(f"{name}=%({name})s" for name in row)
        db.execute(f"UPDATE calls SET {columns} WHERE call_id=%(call_id)s", row)
        db.execute("DELETE FROM seen WHERE ce_id=%s", [event.ce_id])
        db.execute("INSERT INTO seen VALUES (%s, %s, %s)", [event.ce_id, int(time.time()), replay])
        if random.random() < 0.001:  # now and then
            db.execute("DELETE FROM seen WHERE seen_at<%s", [int(time.time()) - REMEMBER_S])

def set_aside(producer: Producer, message: Message, reason: str):
    """Comes back when Kafka has confirmed the dead letter, and not before: then its offset may be committed."""
    log(f"dead letter ({reason}): {message.topic()} {message.partition()} {message.offset()}")
    told, headers = [], [*(message.headers() or []), ("reason", reason.encode())]
    producer.produce(
        DEAD_LETTERS, message.value(), message.key(), headers=headers, on_delivery=lambda error, _: told.append(error))
    producer.flush()  # ends at the latest with delivery.timeout.ms
    if told[0]:
        raise KafkaException(told[0])

def main():
    signals, db, message, wait_s = [], None, None, 0.5
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *received: signals.append(received))
    ready = functools.cache(lambda: print("ready", flush=True))  # cached: once
    producer = Producer(KAFKA | {"enable.idempotence": True, "delivery.timeout.ms": 10_000})
    # An offset that Kafka does not take is no loss: its record comes again, and `seen` knows it.
    consumer = Consumer(KAFKA | {"group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 15_000,  # so long a killed consumer keeps its partitions from the next
        "on_commit": lambda error, _: error and log(f"offset not kept: {error.name()}")})
    consumer.subscribe(TOPICS, on_assign=lambda _, given: given and ready())
    while not signals:
        message = consumer.poll(0.5) if message is None else message  # (a message without a value is falsy)
        if message is None or message.error():
            message = None if message is None else log(f"Kafka: {message.error().name()}")
            continue
        try:
            try:
                event = read(message)
                if db is None or db.closed:
                    db = psycopg.connect(DATABASE_URL, autocommit=True, row_factory=dict_row, connect_timeout=5)
                store(db, event)
            except psycopg.errors.UndefinedTable:  # at the first record, or because somebody has dropped them
                db.execute(TABLES)
                continue
            except (Poison, psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
                set_aside(producer, message, str(error) if isinstance(error, Poison) else "data")
            consumer.commit(message, asynchronous=True)
            message, wait_s = None, 0.5
        except (psycopg.Error, KafkaException) as error:
            # No fault of the record's: it stays in hand, none is skipped. After five minutes (max.poll.interval.ms) the
            # group gives it to another; `seen` makes that harmless. A statement's error can hold a row and is not told.
            told = isinstance(error, KafkaException) or type(error) is psycopg.OperationalError and not error.sqlstate
            log(f"tries again in {wait_s} s: {' '.join(str(error).split()) if told else type(error).__name__}")
            until, wait_s = time.monotonic() + wait_s, min(wait_s * 2, 30)
            while not signals and time.monotonic() < until:
                time.sleep(0.1)
    consumer.close()  # waits for the commits on their way, and leaves the group

if __name__ == "__main__": main()
