"""The consumers as their user runs them, and the life each leads here: it is killed while its store is held, loses its
store for a while, is told to end in the middle of its work, and at the end of it.
"""

import threading
import time

from confluent_kafka import ConsumerGroupTopicPartitions
from events import API_KEY, TYPES
from services import ROOT, Process, wait

TOPICS = [f"retell.{type}" for type in TYPES]
EXAMPLES = ROOT / "examples"
# Two cores for all of them, Kafka and the bridge.
READY = 90
# A group waits for a killed member for its session's time, 45 s with most clients.
PATIENCE = 240
STOPS_WITHIN = 15

COMMANDS = {
    "python": [EXAMPLES / "python/.venv/bin/python", EXAMPLES / "python/consumer.py"],
    "typescript": ["node", EXAMPLES / "typescript/consumer.js"],
    "rust": [ROOT / "target/examples/debug/retell-consumer"],
    "java": ["java", "-Xmx256m", "-jar", EXAMPLES / "java/target/retell-consumer.jar"],
    "go": [EXAMPLES / "go/bin/consumer"],
    "forward": [ROOT / "target/examples/debug/retell-forward"],
}


class Consumer:
    def __init__(self, name, store, settings, kafka, topics=TOPICS):
        self.name, self.store, self.settings, self.topics = name, store, settings, topics
        self.brokers, self.admin, self.folder = kafka
        self.group, self.dead_letters = f"retell-{name}", f"retell.retell-{name}.dead"
        self.process = None
        self.told = []  # what went wrong in its life
        self.has_read = threading.Event()  # all but what comes late; or it will never
        self.thread = None

    def start(self, **settings):
        env = {"KAFKA_BROKERS": self.brokers, **self.settings, **settings}
        if self.name == "forward":
            self.store.handler.not_before.clear()  # who starts anew knows of no Retry-After
        # Its group, topics and dead letters have the names that they have by themselves.
        self.process = Process(self.name, self.folder, COMMANDS[self.name], {k: str(v) for k, v in env.items()}, self.folder)
        self.process.wait_line("ready", READY)

    def stop(self):
        code = self.process.stop(STOPS_WITHIN)
        assert code == 0, f"SIGTERM: ended with {code} (None: not within {STOPS_WITHIN} s): {self.process.last()}"

    def committed(self):
        """{(topic, partition): offset}"""
        asked = self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(self.group)])[self.group].result(30)
        return {(at.topic, at.partition): at.offset for at in asked.topic_partitions if at.offset >= 0}

    def wait_share(self, share, total):
        def there():
            assert self.process.child.poll() is None, f"ended by itself: {self.process.last()}"
            return sum(self.committed().values()) >= share * total

        wait(f"{share:.0%} of {total} records to be committed", PATIENCE, there)

    def wait_end(self, ends):
        """Until it has committed up to `ends`, {(topic, partition): end}."""

        def there():
            assert self.process.child.poll() is None, f"ended by itself: {self.process.last()}"
            return self.committed() == ends

        try:
            wait("all to be committed", PATIENCE, there)
        except AssertionError as error:
            now = self.committed()
            left = {at: (now.get(at), end) for at, end in ends.items() if now.get(at) != end}
            raise AssertionError(f"{error}; (committed, end): {left}") from error

    def in_thread(self, life, *arguments):
        """Process dies with the thread that started it, so a life is led in one."""

        def lead():
            try:
                life(*arguments)
            except Exception as error:  # whatever it is, it is what went wrong
                self.told.append(f"{type(error).__name__}: {error}")
                if self.process:
                    self.process.kill()
            self.has_read.set()

        self.thread = threading.Thread(target=lead, daemon=True)
        self.thread.start()

    def live(self, total, most_there, all_there):
        """The last two wait until the topics have most, or all, that there will be, and tell their ends."""
        settings = {} if self.name == "forward" else {"RETELL_API_KEYS": f"key_of_before,{API_KEY}"}
        self.start(**settings)
        self.wait_share(0.15, total)
        with self.store.held():
            time.sleep(1)
            self.process.kill()
        self.start(**settings)
        self.wait_share(0.4, total)
        self.store.away()
        self.wait_share(0.6, total)
        self.stop()
        self.start(**settings)
        self.wait_end(most_there(self.topics))
        self.has_read.set()
        self.wait_end(all_there(self.topics))
        self.stop()

    def take_replay(self, run, ends):
        self.start(REPLAY=run)
        self.wait_end(ends)
        self.stop()
