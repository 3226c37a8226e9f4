"""Keeps one row per Retell call in PostgreSQL, with its transcript and summary, from the topics of retell-bridge.

Kafka hands out each record at least once; the table `seen`, written in one transaction with the row, makes that once.
Here is what has to do with Kafka; event.py reads a record, store.py has the rows.
"""
import os
import re
import signal
import sys
import time

import psycopg
from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition

from event import Event, read
from store import connect, store


def listed(name: str, default: str) -> list[str]:
    return re.findall(r"[^\s,]+", os.environ.get(name, default))


GROUP = os.environ.get("KAFKA_GROUP", "retell-python")
TOPICS = listed("TOPICS", "retell.call_started,retell.call_ended,retell.call_analyzed")
DEAD_LETTERS = os.environ.get("DEAD_LETTERS", f"retell.{GROUP}.dead")
KEYS = listed("RETELL_API_KEYS", "")
# Kafka's security settings (security.protocol, sasl.…) belong here. 16 MiB: the bridge takes bodies of 8 MiB.
KAFKA = {"bootstrap.servers": os.environ.get("KAFKA_BROKERS", "localhost:9092"), "message.max.bytes": 16 << 20}
WRONG_KEYS = "no signature has held since the start. Are RETELL_API_KEYS the bridge's, and that of before among them, " \
    "where events are older than the key? Set them and start again"


class WrongKeys(Exception):
    """A signature does not hold, and none has since the start: the keys are likelier wrong than an event is forged."""


def log(line: str):  # kinds and places: never a body, key or number
    print(line, file=sys.stderr, flush=True)


def set_aside(producer: Producer, message: Message, reason: str):
    """Comes back when Kafka has confirmed the dead letter, and not before: then its offset may be committed."""
    told, headers = [], [*(message.headers() or []), ("reason", reason.encode())]
    letter = {"value": message.value(), "key": message.key(), "headers": headers}
    producer.produce(DEAD_LETTERS, **letter, on_delivery=lambda error, _: told.append(error))
    producer.flush()  # ends at the latest with delivery.timeout.ms
    if told[0]:
        raise KafkaException(f"no dead letter to {DEAD_LETTERS}: {told[0].str()}")
    log(f"dead letter ({reason}): {message.topic()} {message.partition()} {message.offset()}")


class Work:
    """What a record is handed to; without an error it is done, and durable."""

    def __init__(self):
        self.producer = Producer(KAFKA | {"enable.idempotence": True, "delivery.timeout.ms": 8_000})
        self.db, self.keys_hold = None, False

    def take(self, message: Message):
        found = read(message, KEYS)
        self.keys_hold = self.keys_hold or found not in (None, "no_ce_id", "signature")
        if isinstance(found, Event):
            if self.db is None or self.db.closed:
                self.db = connect()
            found = store(self.db, found)
        if found == "signature" and not self.keys_hold:
            raise WrongKeys(WRONG_KEYS)
        if found:
            set_aside(self.producer, message, found)


def cause(error: Exception) -> str:
    """What a server says about a statement (it has an sqlstate) can hold a row, and is not told."""
    return type(error).__name__ if getattr(error, "sqlstate", None) else " ".join(str(error).split())


def main():
    if "RETELL_API_KEYS" in os.environ and not KEYS:
        sys.exit("RETELL_API_KEYS has no key in it: give one, or unset it")
    signals, ready = [], []
    for kind in (signal.SIGTERM, signal.SIGINT):
        signal.signal(kind, lambda *received: signals.append(received))

    def assigned(_, partitions):
        if partitions and not ready:
            ready.append(True)
            print("ready", flush=True)

    # An offset that Kafka does not take is no loss: its record comes again, and `seen` knows it.
    consumer = Consumer(KAFKA | {
        "group.id": GROUP, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        "session.timeout.ms": 15_000,  # so long a killed consumer keeps its partitions from the next
        "on_commit": lambda error, _: error and log(f"offset not kept: {error.name()}"),
    })
    consumer.subscribe(TOPICS, on_assign=assigned)
    work, wait_s, say_at = Work(), 0.5, 0.0
    while not signals:
        message = consumer.poll(0.5)
        if message is None:
            continue
        if message.error():
            log(f"Kafka: {message.error().name()}")
            continue
        try:
            work.take(message)
            consumer.commit(message, asynchronous=True)
            wait_s, say_at = 0.5, 0.0
        except (psycopg.Error, KafkaException, WrongKeys) as error:
            # No fault of the record's: none is skipped, it is read again. Polls keep us in the group, and the other
            # partitions have their turn before it.
            consumer.seek(TopicPartition(message.topic(), message.partition(), message.offset()))
            if time.monotonic() > say_at:
                log(f"not taken, tried again until it is: {cause(error)}")
                say_at = time.monotonic() + 60
            time.sleep(wait_s)
            wait_s = min(wait_s * 2, 5)
    consumer.close()  # waits for the commits on their way, and leaves the group


if __name__ == "__main__":
    main()
