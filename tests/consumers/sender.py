"""Sends as Retell does, again and again until it is answered; copies on Kafka what must arrive twice; reads it all back."""

import collections
import hashlib
import http.client
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from events import now_ms, signature

SENDERS = 8
Record = collections.namedtuple("Record", "topic partition offset key value headers")


class Sender:
    """Sends all events, those of one call in their order; `pace` events a second."""

    def __init__(self, bridge, events, pace):
        self.bridge, self.pace = bridge, pace
        self.sent, self.wrong = 0, []
        self.lock = threading.Lock()
        shares = collections.defaultdict(list)
        for event in events:
            shares[int(hashlib.sha256(event.call_id.encode()).hexdigest(), 16) % SENDERS].append(event)
        self.threads = [threading.Thread(target=self._send_all, args=[share], daemon=True) for share in shares.values()]

    def start(self):
        for thread in self.threads:
            thread.start()

    def join(self):
        for thread in self.threads:
            thread.join()

    def _send_all(self, share):
        due = time.monotonic()
        for event in share:
            due += SENDERS / self.pace
            time.sleep(max(0, due - time.monotonic()))
            event.v = event.same_clock.v if event.same_clock else now_ms() - (270_000 if event.old else 0)
            event.ce_id = self._post(event.body, event.v)
            if event.twice and self._post(event.body, now_ms()) != event.ce_id:
                self.wrong.append(f"a repeat of {event.ce_id} was answered with another id")
            with self.lock:
                self.sent += 1

    def _post(self, body, v):
        headers = {"content-type": "application/json", "x-retell-signature": signature(body, v)}
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                connection = http.client.HTTPConnection(*self.bridge.address, timeout=10)
                connection.request("POST", "/webhook", body, headers)
                answer = connection.getresponse()
                answer.read()
                connection.close()
                if answer.status == 204:
                    return answer.headers["x-event-id"]
                if answer.status != 503:
                    self.wrong.append(f"the bridge answered {answer.status}")
                    return ""
            except (OSError, http.client.HTTPException, TypeError):  # TypeError: it has no address just now
                pass
            time.sleep(0.2)
        self.wrong.append("the bridge did not answer for a minute")
        return ""


def produce(brokers, records):
    """Records of (topic, key, value, headers), partitioned as Java's clients do."""
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    for topic, key, value, headers in records:
        producer.produce(topic, value=value, key=key, headers=headers)
    assert producer.flush(60) == 0, "Kafka did not take all of the rig's own records"


def ends(brokers, topics):
    """{(topic, partition): end} of those that hold something."""
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "rig"})
    found = {}
    for topic in topics:
        for partition in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
            _, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
            if high > 0:
                found[topic, partition] = high
    consumer.close()
    return found


def read_all(brokers, topics):
    """Every record of the topics up to where they end now, in the order of each partition."""
    end = ends(brokers, topics)
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "rig", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in end])
    records, left = [], sum(end.values())
    while left > 0:
        messages = consumer.consume(min(left, 1000), timeout=20)
        assert messages, f"{left} records of {topics} did not come"
        for message in messages:
            assert message.error() is None, message.error()
            place = (message.topic(), message.partition())
            if message.offset() < end[place]:
                records.append(Record(*place, message.offset(), message.key(), message.value(), message.headers() or []))
                left -= 1
    consumer.close()
    return records
