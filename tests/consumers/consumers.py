"""The consumers as their user runs them, and the life each leads here: it is killed while its store is held, loses its
store for a while, is told to end in the middle of its work, while it waits for its store, and at the end of it.
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
# Those that are run twice in one group for a while, on one store. (The files of the others belong to one process.)
TWICE = ["python", "typescript", "go", "forward"]

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
        self.process = self.begin(self.name, settings)
        self.process.wait_line("ready", READY)

    def begin(self, name, settings):
        env = {"KAFKA_BROKERS": self.brokers, **self.settings, **settings}
        if self.name == "forward":
            self.store.handler.not_before.clear()  # who starts anew knows of no Retry-After
        # Its group, topics and dead letters have the names that they have by themselves.
        return Process(name, self.folder, COMMANDS[self.name], {k: str(v) for k, v in env.items()}, self.folder)

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

    def with_second(self, share, total, settings):
        """A second one of its group joins at its work and leaves again: each has all of its calls, no offset goes back."""
        highest = {}

        def there():
            now = self.committed()
            back = {at: (highest[at], offset) for at, offset in now.items() if offset < highest.get(at, 0)}
            assert not back, f"while two shared the work, offsets went back: {back}"
            highest.update(now)
            return sum(now.values()) >= share * total

        second = self.begin(f"{self.name}-second", settings)
        if self.name == "forward":
            self.store.handler.several = True
        try:
            second.wait_line("ready", READY)
            wait(f"{share:.0%} of {total} records to be committed by two", PATIENCE, there)
            group = self.admin.describe_consumer_groups([self.group])[self.group].result(30)
            have = [{(at.topic, at.partition) for at in member.assignment.topic_partitions} for member in group.members]
            split = [own for own in have if own != {(topic, n) for topic in self.topics for _, n in own}]
            assert len(have) == 2 and all(have) and not split, f"not the same partitions of each topic: {have}"
            code = second.stop(STOPS_WITHIN)
            assert code == 0, f"the second of two, SIGTERM: ended with {code}: {second.last()}"
        finally:
            second.kill()
            if self.name == "forward":
                self.store.handler.not_before.clear()
                self.store.handler.several = False

    def with_wrong_keys(self):
        """Nothing is set aside for keys that are not the bridge's, and nothing committed."""
        self.start(RETELL_API_KEYS="key_of_before")
        self.process.wait_line("RETELL_API_KEYS", PATIENCE)
        time.sleep(2)
        taken = {at: offset for at, offset in self.committed().items() if at[0] in TOPICS and offset > 0}
        assert not taken, f"with wrong keys it has committed {taken}"
        self.stop()

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
        settings = {} if self.name == "forward" else {"RETELL_API_KEYS": f"key_of_before, {API_KEY}\n"}
        if settings:
            self.with_wrong_keys()
        self.start(**settings)
        self.wait_share(0.15, total)
        with self.store.held():
            time.sleep(1)
            self.process.kill()
        self.start(**settings)
        self.wait_share(0.3, total)
        if self.name in TWICE:
            self.with_second(0.45, total, settings)
        self.store.away()
        self.wait_share(0.6, total)
        self.stop()
        self.start(**settings)
        with self.store.held():
            time.sleep(2)
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

    def run_as(self, group, topics, ends, **settings):
        """Again on the same store, in another group."""
        self.group, self.topics = group, topics
        self.start(KAFKA_GROUP=group, TOPICS=", ".join(topics), **settings)
        self.wait_end(ends)
        self.stop()
