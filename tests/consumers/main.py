"""The rig: one Kafka, one bridge, 5,000 events, and every consumer of examples/ side by side, each judged at the end.

usage: main.py [--bridge BINARY] [CONSUMER...]   (tests/consumers.sh builds what they need and calls this)
"""

import argparse
import collections
import dataclasses
import json
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import judge
from confluent_kafka.admin import NewTopic
from consumers import COMMANDS, TOPICS, Consumer
from events import API_KEY, Made, now_ms, others, poison, signature
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
            store = FolderStore(folder / "retell")
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
    """Of events alone, with a header of somebody else's, which need not be text."""
    genuine = [record for record in records if record.key != b"call_poison"]
    chosen, other = chance.sample(genuine, number), ("trace", b"\xff\x00")
    return [(record.topic, record.key, record.value, [*record.headers, other]) for record in chosen]


@dataclasses.dataclass
class Scene:
    folder: pathlib.Path
    brokers: str
    bridge: Bridge
    handler: Handler
    events: Made
    everyone: list[Consumer]
    calls: list[str]
    poison: list[tuple]  # (name, topic, key, value, headers)
    others: list[tuple]


def set_up(binary, names, folder):
    brokers, admin, _ = start_kafka(folder)
    bridge = Bridge(binary, folder, brokers, API_KEY)
    bridge.run("topics", "apply")
    own = [NewTopic("customers", 6, 1)] + [NewTopic(f"retell.retell-{name}.dead", 1, 1) for name in names]
    for made in admin.create_topics(own).values():
        made.result(30)
    handler = Handler()
    events = Made(handler.url)
    calls = sorted({event.call_id for event in events.consumed})
    if "java" in names:
        produce_customers(folder, brokers, calls)
    bridge.start()
    say(f"{len(events.consumed)} events of {len(calls)} calls, and {len(events.updates)} transcript updates")
    bad = [(name, f"retell.call_{'started' if name in ('forged', 'stale') else 'ended'}", *rest) for name, *rest in poison()]
    everyone = consumers(names, folder, (brokers, admin, folder), handler)
    other = [(name, "retell.call_ended", *rest) for name, *rest in others()]
    return Scene(folder, brokers, bridge, handler, events, everyone, calls, bad, other)


def send(scene):
    """Sends everything while everybody reads; the records that are then on Kafka, and what was wrong with the answers."""
    brokers, bridge, events = scene.brokers, scene.bridge, scene.events
    bad = [record[1:] for record in scene.poison if record[0] != "forged"]
    sender, late, chance = Sender(bridge, events.events, PACE), Sender(bridge, events.late, PACE), random.Random(3)
    most_there, all_there = threading.Event(), threading.Event()

    def when(event):
        def ends_then(topics):
            assert event.wait(600), "the events did not all come to Kafka"
            return ends(brokers, topics)

        return ends_then

    # A wrong signature first of all on its partition: others have to show that the keys are right.
    produce(brokers, [record[1:] for record in scene.poison if record[0] == "forged"])
    sender.start()
    for consumer in scene.everyone:
        total = len(events.consumed) + (len(events.updates) if UPDATES in consumer.topics else 0)
        total += len(scene.calls) if "customers" in consumer.topics else 0
        consumer.in_thread(consumer.live, total, when(most_there), when(all_there))
    wait("a third of the events to be sent", 120, lambda: sender.sent > len(events.events) / 3)
    bridge.kill()
    time.sleep(1)
    bridge.start()
    say("the bridge was killed and has started again")
    wait("two thirds of the events to be sent", 120, lambda: sender.sent > len(events.events) * 2 / 3)
    produce(brokers, copies(read_all(brokers, [*TOPICS, UPDATES]), 100, chance) + bad[::2] + [record[1:] for record in scene.others])
    sender.join()
    from_bridge = read_when_whole(brokers, events.events)
    produce(brokers, copies(from_bridge, 100, chance) + bad[1::2])
    most_there.set()
    say("all but the late ones are sent")
    for consumer in scene.everyone:
        consumer.has_read.wait()
    late.start()
    late.join()
    records = read_when_whole(brokers, events.events + events.late)
    all_there.set()
    ids = {event.ce_id for event in events.events + events.late}
    say(f"all is sent: {len(records)} records, {len(records) - len(ids) - len(scene.poison) - len(scene.others)} of them second copies")
    return records, sender.wrong + late.wrong


def judge_lives(scene, records, wrong):
    """What each has made of the events; the table `calls` as it must be."""
    events, brokers = scene.events, scene.brokers
    ids = {event.ce_id for event in events.events + events.late}
    bad_ids = {dict(record[4]).get("ce_id", b"").decode() for record in scene.poison + scene.others}
    first = {ce_id: record for ce_id, record in first_of(records).items() if ce_id and ce_id not in bad_ids}
    expected = events.rows({ce_id: int(dict(record.headers)["retell_position"]) for ce_id, record in first.items()})
    known = {event.ce_id: None for event in events.consumed}
    check("bridge: every answer as promised", judge.same, "answers", set(wrong), set())
    check("bridge: what was sent is on Kafka, and nothing else", judge.same, "ids", set(first), ids)
    check("bridge: the topic with everything has each event, in order by call", judge.all_events, read_all(brokers, ["retell.all"]), ids)
    for consumer in scene.everyone:
        name, letters, handler = consumer.name, read_all(brokers, [consumer.dead_letters]), scene.handler
        check(f"{name}: killed, without its store, told to end: goes on, ends with 0, commits all", judge.of_its_life, consumer)
        check(f"{name}: its log gives nothing away", judge.log, consumer)
        if name == "forward":
            check("forward: every record came to the handler, byte for byte, with a valid signature", judge.forwarded, handler, records)
            check("forward: in order per key", judge.forwarded_in_order, handler, records)
            check("forward: what the handler refused is in the dead letters", judge.forwarded_letters, handler, letters)
            continue
        check(f"{name}: the calls are as they must be", judge.rows, consumer, expected)
        check(f"{name}: each event once", judge.seen, consumer, known)
        check(f"{name}: the dead letters are the poison", judge.dead_letters, letters, scene.poison)
        if name == "typescript":
            check("typescript: the recordings of calls whose storage is off", judge.recordings, consumer, events.recordings)
        if name == "java":
            of_calls = [record for record in records if record.topic in TOPICS and record.key != b"call_poison"]
            of_calls += read_all(brokers, ["customers"])
            check("java: each call is on its customer's partition", judge.partitions, consumer, of_calls, scene.calls)
    return expected


def judge_replay(scene, expected):
    """A replay that is announced is taken again, once; one that is not changes nothing. And Kafka Connect reads it all."""
    brokers, analyses = scene.brokers, ["retell.call_analyzed"]
    announced, _ = replay(scene.bridge), replay(scene.bridge)
    origin = ("retell_origin", f"replay:{announced}".encode())
    again = [record for record in read_all(brokers, analyses) if origin in record.headers]
    produce(brokers, copies(again, 50, random.Random(4)))
    say(f"{len(again)} analyses are on Kafka again, twice")
    sunk_to, connect = start_connect(scene.folder, brokers)
    storing = [consumer for consumer in scene.everyone if consumer.name != "forward"]
    for consumer in storing:
        check(f"{consumer.name}: its store can be spoiled", consumer.store.spoil)
        consumer.told = []
        consumer.in_thread(consumer.take_replay, announced, ends(brokers, consumer.topics))
    known = {event.ce_id: announced if event.type == "call_analyzed" else None for event in scene.events.consumed}
    for consumer in storing:
        consumer.thread.join()
        check(f"{consumer.name}: takes an announced replay and ends with 0", judge.of_its_life, consumer)
        check(f"{consumer.name}: after it the calls are as they must be", judge.rows, consumer, expected)
        check(f"{consumer.name}: no other replay was taken", judge.seen, consumer, known)
    check("connect: each value is a line of the file", all_sunk, sunk_to, connect, read_all(brokers, analyses))


def judge_recipes(scene, expected, consumer):
    """Of docs/consumers.md: a replay to a topic of its own, an erased call, dead letters that are read again."""
    brokers, name, store, topics = scene.brokers, consumer.name, consumer.store, consumer.topics
    own = ["repair.calls", f"retell.repair-{name}.dead", f"retell.erased-{name}.dead", "retell.still.dead"]
    for topic, made in consumer.admin.create_topics([NewTopic(topic, 1, 1) for topic in own]).items():
        wait(topic, 30, lambda: made.done() and topic in consumer.admin.list_topics(timeout=5).topics)
    store.spoil()
    run = replay(scene.bridge, "--to-topic", "repair.calls")
    consumer.run_as(f"repair-{name}", ["repair.calls"], ends(brokers, ["repair.calls"]), REPLAY=run)
    judge.rows(consumer, expected)
    known = store.seen()
    call_id = next(iter(scene.events.recordings))
    store.erase(call_id)
    assert call_id not in store.rows(), "it is not erased"
    # Everything again from the beginning, as in a group that Kafka has forgotten.
    consumer.run_as(f"erased-{name}", topics, ends(brokers, topics), RETELL_API_KEYS=API_KEY)
    judge.rows(consumer, {call: row for call, row in expected.items() if call != call_id})
    judge.same("seen", store.seen(), known)
    if name == "typescript":
        judge.recordings(consumer, {call: number for call, number in scene.events.recordings.items() if call != call_id})
    if name == "python":
        # Without keys, the two with a wrong signature are events.
        letters, right = [consumer.dead_letters], {"DEAD_LETTERS": "retell.still.dead"}
        consumer.run_as("again", letters, ends(brokers, letters), **right)
        unsigned = [record for record in scene.poison if record[0] not in ("forged", "stale")]
        judge.dead_letters(read_all(brokers, ["retell.still.dead"]), unsigned)
        assert store.rows()["call_forged"]["events"] == 2, store.rows()["call_forged"]


def judge_stuck(scene):
    """What the handler never takes holds its partition, and no more is posted, or posted again, than is said; a replay is
    posted where it is announced."""
    brokers, handler = scene.brokers, scene.handler
    forward = next(consumer for consumer in scene.everyone if consumer.name == "forward")
    forward.group, forward.topics, settings = "stuck", ["stuck"], {"KAFKA_GROUP": "stuck", "TOPICS": "stuck"}
    forward.admin.create_topics([NewTopic("stuck", 1, 1)])["stuck"].result(30)
    records = []
    for number in range(400):
        call = {"call_id": f"call_stuck_{number}", "metadata": {"stuck": number == 0}}
        body = json.dumps({"event": "call_ended", "call": call}).encode()
        headers = [("ce_id", f"stuck-{number}".encode()), ("retell_signature", signature(body, now_ms()).encode())]
        records.append(("stuck", call["call_id"].encode(), body, headers))
    produce(brokers, records)
    begun = len(handler.seen)

    def posted():
        return collections.Counter(ce_id for _, _, ce_id, _, _ in handler.seen[begun:])

    for times in (1, 2):
        forward.start(**settings)
        wait("99 to be posted", 60, lambda: sum(posted().values()) >= 99 * times)
        time.sleep(3)
        assert set(posted()) == {f"stuck-{number}" for number in range(1, 100)}, f"{len(posted())} posted behind the stuck one"
        assert times == 1 or not any(forward.committed().values()), f"{forward.committed()} is committed"
        forward.stop()
    handler.stuck = False
    forward.start(**settings)
    forward.wait_end({("stuck", 0): 400})
    forward.stop()
    counts = posted()
    # What was answered too late for forward's patience, as a busy machine does it, is posted once more, and said.
    late = re.findall(r"stuck-0@(\d+) tried again until it is taken: no answer in time", (forward.folder / "forward.log").read_text())
    wrong = {one: times for one, times in counts.items() if times not in (1, 3) and one.removeprefix("stuck-") not in late}
    assert len(counts) == 400 and not wrong, f"{len(counts)} of 400 posted, times: {wrong}"
    for run in ("told", "untold"):
        origin = ("retell_origin", f"replay:{run}".encode())
        produce(brokers, [(*rest, [*headers, origin]) for *rest, headers in records[200:210]])
    forward.start(**settings, REPLAY="told")
    forward.wait_end({("stuck", 0): 420})
    forward.stop()
    again = posted() - counts
    assert again == collections.Counter(f"stuck-{number}" for number in range(200, 210)), f"of two replays: {again}"


def all_sunk(file, connect, records):
    def lines():
        return file.read_text().splitlines() if file.exists() else []

    wait("Kafka Connect", 120, lambda: len(lines()) >= len(records))
    assert connect.stop(30) is not None, "Kafka Connect does not end"
    judge.sunk(lines(), records)


def read_when_whole(brokers, events):
    """All records, as soon as each of the events is among them."""
    ids = {event.ce_id for event in events}

    def whole():
        records = read_all(brokers, [*TOPICS, UPDATES])
        return records if ids <= set(first_of(records)) else None

    return wait("all events on Kafka", 120, whole)


def replay(bridge, *more):
    """All analyses on their topic again; the run id."""
    told = bridge.run("replay", "--type", "call_analyzed", *more)
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
    scene = set_up(options.bridge.resolve(), options.names or list(COMMANDS), folder)
    records, wrong = send(scene)
    for consumer in scene.everyone:
        consumer.thread.join()
    say("all consumers have ended")
    expected = judge_lives(scene, records, wrong)
    judge_replay(scene, expected)
    for consumer in scene.everyone:
        if consumer.name in ("python", "typescript"):
            what = "a replay to a topic of its own, erasure, dead letters again: as the guide says"
            check(f"{consumer.name}: {what}", judge_recipes, scene, expected, consumer)
    if "forward" in [consumer.name for consumer in scene.everyone]:
        check("forward: what is never taken holds up so much and no more; replays only where announced", judge_stuck, scene)
    say("done")
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
