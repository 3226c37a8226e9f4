"""The rig: one Kafka, one bridge, 5,000 events, and every consumer of examples/ side by side, each judged at the end.

usage: main.py [--bridge BINARY] [CONSUMER...]   (tests/consumers.sh builds what they need and calls this)
"""

import argparse
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import judge
from confluent_kafka.admin import NewTopic
from consumers import COMMANDS, TOPICS, Consumer
from events import API_KEY, Made, poison
from handler import Handler
from sender import Sender, ends, produce, read_all
from services import ROOT, Bridge, Postgres, java, start_connect, start_kafka, wait
from stores import FolderStore, HandlerStore, PostgresStore, SqliteStore

PACE = 250  # events a second: slow enough that a kill falls into the middle
UPDATES = "retell.transcript_updated"

outcomes = []


def check(what, judgement, *arguments):
    """One line a check, as tests/tools/check.sh does."""
    try:
        judgement(*arguments)
        print(f"ok    {what}", flush=True)
        outcomes.append(True)
    except Exception as error:  # a consumer that left no store at all is a failed check, not the end of the others
        told = " ".join(str(error).split()) or type(error).__name__
        print(f"FAIL  {what}: {told[:600]}", flush=True)
        outcomes.append(False)


def say(what):
    print(f"      {time.monotonic() - BEGAN:4.0f} s  {what}", flush=True)


def consumers(names, folder, kafka, handler):
    made = []
    for name in names:
        if name == "python":
            postgres = Postgres(folder)
            store, settings = PostgresStore(postgres), {"DATABASE_URL": postgres.url}
        elif name == "typescript":
            store = FolderStore(folder / "typescript")
            settings = {"FOLDER": store.folder}
        elif name == "forward":
            store, key = HandlerStore(handler), folder / "key"
            key.write_text(API_KEY + "\n")
            topics = [*TOPICS, UPDATES]
            settings = {"HANDLER_URL": handler.url, "RETELL_API_KEY_FILE": key, "TIMEOUT_MS": 2000, "TOPICS": ",".join(topics)}
            made.append(Consumer(name, store, settings, kafka, topics))
            continue
        else:
            store = SqliteStore(folder / f"{name}.sqlite")
            settings = {"DATABASE": store.path}
        java_too = name == "java"
        settings |= {"CUSTOMERS": "customers"} if java_too else {}
        made.append(Consumer(name, store, settings, kafka, [*TOPICS, "customers"] if java_too else TOPICS))
    return made


def produce_customers(folder, brokers, calls):
    """A topic of somebody else's, by Java's own producer and so partitioned by its murmur2."""
    lines = [f"{call}|{json.dumps({'call_id': call, 'customer': f'customer {n}'})}" for n, call in enumerate(calls)]
    (folder / "customers.txt").write_text("\n".join(lines) + "\n")
    tool = java("org.apache.kafka.tools.ConsoleProducer", "--bootstrap-server", brokers, "--topic", "customers")
    tool += ["--reader-property", "parse.key=true", "--reader-property", "key.separator=|"]
    with open(folder / "customers.txt") as lines:
        subprocess.run(tool, stdin=lines, check=True, stdout=subprocess.DEVNULL)


def first_of(records):
    """{ce_id: record}, the first of each."""
    found = {}
    for record in records:
        found.setdefault(dict(record.headers).get("ce_id", b"").decode(), record)
    return found


def copies(records, number, chance):
    chosen = chance.sample(records, number)
    return [(record.topic, record.key, record.value, record.headers) for record in chosen]


def run(binary, names, folder):
    brokers, admin, _kafka = start_kafka(folder)
    bridge = Bridge(binary, folder, brokers, API_KEY)
    bridge.run("topics", "apply")
    own = [NewTopic("customers", 6, 1)] + [NewTopic(f"retell.retell-{name}.dead", 1, 1) for name in names]
    for made in admin.create_topics(own).values():
        made.result(30)
    handler = Handler()
    events = Made(handler.url)
    calls = sorted({event.call_id for event in events.consumed})
    say(f"{len(events.consumed)} events of {len(calls)} calls, and {len(events.updates)} transcript updates")
    everyone = consumers(names, folder, (brokers, admin, folder), handler)
    if "java" in names:
        produce_customers(folder, brokers, calls)
    bridge.start()

    # All at once: the events are sent while everybody reads.
    sender = Sender(bridge, events.events, PACE)
    all_there, topics, chance, bad = threading.Event(), [*TOPICS, UPDATES], random.Random(3), poison()
    bad = [(name, f"retell.call_{'started' if name in ('forged', 'stale') else 'ended'}", *rest) for name, *rest in bad]

    def wait_all(of):
        assert all_there.wait(300), "the events did not all come to Kafka"
        return ends(brokers, of)

    sender.start()
    for consumer in everyone:
        total = len(events.consumed) + (len(events.updates) if UPDATES in consumer.topics else 0)
        total += len(calls) if "customers" in consumer.topics else 0
        consumer.in_thread(consumer.live, total, wait_all)
    wait("a third of the events to be sent", 120, lambda: sender.sent > len(events.events) / 3)
    bridge.kill()
    time.sleep(1)
    bridge.start()
    say("the bridge was killed and has started again")
    wait("two thirds of the events to be sent", 120, lambda: sender.sent > len(events.events) * 2 / 3)
    produce(brokers, copies(read_all(brokers, topics), 100, chance) + [record[1:] for record in bad[::2]])
    sender.join()
    ids = {event.ce_id for event in events.events}
    from_bridge = wait("all events on Kafka", 120, lambda: covers(read_all(brokers, topics), ids))
    produce(brokers, copies(from_bridge, 100, chance) + [record[1:] for record in bad[1::2]])
    records = read_all(brokers, topics)
    all_there.set()
    say(f"all sent: {len(records)} records, {len(records) - len(ids) - len(bad)} of them second copies")
    for consumer in everyone:
        consumer.thread.join()
    say("all consumers have ended")

    bad_ids = {dict(record[4]).get("ce_id", b"").decode() for record in bad}
    first = {ce_id: record for ce_id, record in first_of(records).items() if ce_id not in bad_ids}
    position = {ce_id: int(dict(record.headers)["retell_position"]) for ce_id, record in first.items()}
    check("bridge: every answer as promised", lambda: judge.same("answers", set(sender.wrong), set()))
    check("bridge: what was sent is on Kafka, and nothing else", judge.same, "ids", set(first), ids)
    check("bridge: the topic with everything has each event, in order by call", judge.all_events, read_all(brokers, ["retell.all"]), ids)
    expected = events.rows(position)
    known = {event.ce_id: None for event in events.consumed}
    for consumer in everyone:
        name = consumer.name
        check(f"{name}: killed, without its store, told to end: it goes on, ends with 0, all is committed", judge.of_its_life, consumer)
        check(f"{name}: its log gives nothing away", judge.log, consumer)
        letters = read_all(brokers, [consumer.dead_letters])
        if name == "forward":
            check("forward: every record came to the handler, byte for byte, its signature valid", judge.forwarded, handler, records)
            check("forward: in order per key", judge.forwarded_in_order, handler, records)
            check("forward: what the handler refused is in the dead letters", judge.forwarded_letters, handler, letters)
            continue
        check(f"{name}: the calls are as they must be", judge.rows, consumer, expected)
        check(f"{name}: each event once", judge.seen, consumer, known)
        check(f"{name}: the dead letters are the poison", judge.dead_letters, letters, [(r[0], *r[2:]) for r in bad])
        if name == "typescript":
            check("typescript: the recordings of calls whose storage is off", judge.recordings, consumer, events.recordings)
        if name == "java":
            of_calls = [record for record in records if record.topic in TOPICS and record.key != b"call_poison"]
            of_calls += read_all(brokers, ["customers"])
            check("java: each call is on its customer's partition", judge.partitions, consumer, of_calls, calls)

    # A replay that is announced is taken again, once; one that is not changes nothing.
    storing = [consumer for consumer in everyone if consumer.name != "forward"]
    announced, other = (replay(bridge, brokers) for _ in range(2))
    twice = [r for r in read_all(brokers, ["retell.call_analyzed"]) if ("retell_origin", f"replay:{announced}".encode()) in r.headers]
    produce(brokers, copies(twice, 50, chance))
    say(f"{len(twice)} analyses are on Kafka again, twice")
    sunk_to, connect = start_connect(folder, brokers)
    for consumer in storing:
        check(f"{consumer.name}: its store can be spoiled", consumer.store.spoil)
        consumer.told = []
        consumer.in_thread(consumer.take_replay, announced, ends(brokers, consumer.topics))
    for consumer in storing:
        consumer.thread.join()
        name = consumer.name
        again = {event.ce_id: announced if event.type == "call_analyzed" else None for event in events.consumed}
        check(f"{name}: takes an announced replay and ends with 0", judge.of_its_life, consumer)
        check(f"{name}: after it the calls are as they must be", judge.rows, consumer, expected)
        check(f"{name}: no other replay was taken", judge.seen, consumer, again)

    analyses = read_all(brokers, ["retell.call_analyzed"])

    def lines():
        return sunk_to.read_text().splitlines() if sunk_to.exists() else []

    def all_sunk():
        wait("Kafka Connect", 120, lambda: len(lines()) >= len(analyses))
        assert connect.stop(30) is not None, "Kafka Connect does not end"
        judge.sunk(lines(), analyses)

    check("connect: each value is a line of the file", all_sunk)
    say("done")


def covers(records, ids):
    return records if ids <= set(first_of(records)) else None


def replay(bridge, brokers):
    """All analyses on their topic again; the run id."""
    told = bridge.run("replay", "--type", "call_analyzed")
    return next(line.removeprefix("run ") for line in told.splitlines() if line.startswith("run "))


BEGAN = time.monotonic()
parser = argparse.ArgumentParser()
parser.add_argument("--bridge", type=pathlib.Path, default=ROOT / "target/debug/retell-bridge")
parser.add_argument("names", nargs="*", metavar="CONSUMER", choices=[[], *COMMANDS])
options = parser.parse_args()
folder = pathlib.Path(tempfile.mkdtemp(prefix="retell-consumers."))
# PostgreSQL's user passes through it.
folder.chmod(0o711)
try:
    run(options.bridge.resolve(), options.names or list(COMMANDS), folder)
except Exception as error:
    check("the rig itself", lambda: (_ for _ in ()).throw(error))
if all(outcomes):
    shutil.rmtree(folder, ignore_errors=True)
else:
    print(f"      the logs lie in {folder}")
print(f"\n{outcomes.count(True)} passed, {outcomes.count(False)} failed")
sys.stdout.flush()
# Threads that still wait, and children, end with it.
os._exit(0 if outcomes and all(outcomes) else 1)
