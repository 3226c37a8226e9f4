"""What the consumers stand on: Apache Kafka, PostgreSQL, the bridge, Kafka Connect; and child processes in general."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

ROOT = pathlib.Path(__file__).resolve().parents[2]
KAFKA = ROOT / ".tools/kafka"
CLUSTER_ID = "MkU3OEVBNTcwNTJENDM2Qk"  # any 16 bytes will do


def wait(what, seconds, question):
    """Asks until the answer is true and returns it; fails with what was waited for."""
    end = time.monotonic() + seconds
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(0.2)


def free_port(taken=[]):
    """Below the ports that the system hands to clients, so that who comes back finds its own free."""
    for port in range(20000 + os.getpid() * 37 % 11000, 32000):
        with socket.socket() as probe:
            if port not in taken and probe.connect_ex(("127.0.0.1", port)) != 0:
                taken.append(port)
                return port
    raise AssertionError("no free port")


class Process:
    """A child that does not outlive the thread which starts it; what it prints lies in a file."""

    def __init__(self, name, folder, command, env=None, cwd=None):
        self.log = folder / f"{name}.log"
        self.begun_at = self.log.stat().st_size if self.log.exists() else 0
        command = ["setpriv", "--pdeathsig", "KILL", *map(str, command)]
        with open(self.log, "ab") as out:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd, env={**os.environ, **(env or {})}
            )

    def printed(self):
        with open(self.log, "rb") as log:
            log.seek(self.begun_at)
            return log.read().decode(errors="replace")

    def wait_line(self, word, seconds):
        def said():
            if self.child.poll() is not None:
                raise AssertionError(f"ended with {self.child.returncode} before it said {word!r}: {self.last()}")
            return next((line for line in self.printed().splitlines() if word in line), None)

        return wait(f"{word!r} in {self.log.name}", seconds, said)

    def last(self):
        return " / ".join(self.printed().splitlines()[-3:])[-500:]

    def kill(self):
        self.child.kill()
        self.child.wait()

    def stop(self, seconds):
        """SIGTERM; the exit code, or None when it does not end in time."""
        self.child.send_signal(signal.SIGTERM)
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None


def java(*words, memory="512m"):
    log = f"-Dlog4j2.configurationFile={ROOT}/tests/tools/kafka/log4j2.properties"
    jars = f"{KAFKA}/jars/*"
    return ["java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Xmx{memory}", log, "-cp", jars, *map(str, words)]


def start_kafka(folder):
    """One node; its address and its process."""
    port, controller = free_port(), free_port()
    properties = folder / "server.properties"
    properties.write_text(f"""process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={folder}/kafka-data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
""")
    storage = java("kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c", properties)
    subprocess.run(storage, check=True, stdout=subprocess.DEVNULL)
    process = Process("kafka", folder, java("kafka.Kafka", properties))
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})

    def answers():
        try:
            return admin.list_topics(timeout=1).brokers
        except KafkaException:
            return None

    wait("Kafka", 90, answers)
    return f"127.0.0.1:{port}", admin, process


class Postgres:
    """PostgreSQL, which does not run as root: then it is nobody's."""

    def __init__(self, folder):
        fetch = [ROOT / "tests/tools/fetch-postgres.sh", "--bin"]
        programs = pathlib.Path(subprocess.run(fetch, check=True, capture_output=True, text=True).stdout.strip())
        self.programs, self.folder, self.port = programs, folder, free_port()
        self.data = folder / "postgres"
        self.data.mkdir()
        # Where it was unpacked, its libraries lie beside it.
        beside = programs.parents[3] / "lib" / f"{os.uname().machine}-linux-gnu"
        self.env = {"LD_LIBRARY_PATH": str(beside), "LC_ALL": "C.UTF-8"}
        self.who = []
        if os.geteuid() == 0 and ROOT in programs.parents:
            # Root's checkout may be closed to others; the rig's own folder is not.
            shutil.copytree(ROOT / ".tools/postgres", folder / "unpacked", symlinks=True)
            self.programs = programs = folder / "unpacked" / programs.relative_to(ROOT / ".tools/postgres")
            beside = folder / "unpacked" / beside.relative_to(ROOT / ".tools/postgres")
            self.env["LD_LIBRARY_PATH"] = str(beside)
        if os.geteuid() == 0:
            self.who = ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]
            subprocess.run(["chown", "nobody", self.data], check=True)
        init = [*self.who, programs / "initdb", "-D", self.data, "-U", "retell", "-A", "trust", "-E", "UTF8", "-N"]
        made = subprocess.run(init, env={**os.environ, **self.env}, capture_output=True, text=True, cwd="/")
        assert made.returncode == 0, f"initdb: {made.stderr.strip()}"
        self.url = f"postgresql://retell@127.0.0.1:{self.port}/postgres"
        self.start()

    def start(self):
        command = [*self.who, self.programs / "postgres", "-D", self.data, "-p", self.port, "-h", "127.0.0.1", "-k", ""]
        # setpriv clears the signal of a parent's death where it changes the user: Process sets it outside.
        self.process = Process("postgres", self.folder, command, self.env, cwd="/")
        self.process.wait_line("ready to accept connections", 60)

    def stop(self):
        """At once, as a crash would; what was committed stays."""
        self.process.child.send_signal(signal.SIGQUIT)
        self.process.child.wait(30)


class Bridge:
    """The bridge, and the address of the day: it takes a free port at each start."""

    def __init__(self, binary, folder, brokers, api_key):
        self.binary, self.folder = binary, folder
        self.settings = folder / "bridge.yaml"
        self.settings.write_text(f"""listen: 127.0.0.1:0
admin: {{ listen: "127.0.0.1:0" }}
sources: {{ default: {{ keys: [{api_key}] }} }}
journal: {{ dir: {folder}/journal, allow_ephemeral: true, size_max: 2GiB }}
kafka: {{ brokers: "{brokers}" }}
topics: {{ all: retell.all }}
log: {{ format: text, level: info }}
shutdown: {{ delay: 0s, deadline: 20s }}
""")
        self.address = None

    def run(self, *words):
        command = [self.binary, *words, "--config", self.settings]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder)
        assert done.returncode == 0, f"retell-bridge {words}: {done.stdout} {done.stderr}"
        return done.stdout

    def start(self):
        self.process = Process("bridge", self.folder, [self.binary, "serve", "--config", self.settings])
        line = self.process.wait_line("intake listening", 60)
        host, port = line.split("address=")[1].split()[0].strip('"').split(":")
        self.address = (host, int(port))

    def kill(self):
        self.address = None
        self.process.kill()


def start_connect(folder, brokers):
    """Kafka Connect as docs/consumers.md runs it, with this machine's addresses; the file that it writes."""
    worker = (ROOT / "examples/connect/worker.properties").read_text()
    worker = worker.replace("localhost:9092", brokers).replace("localhost:8083", f"127.0.0.1:{free_port()}")
    worker = worker.replace("/tmp/connect.offsets", f"{folder}/connect.offsets")
    worker = worker.replace("/opt/kafka/libs/", f"{ROOT}/.tools/connect/file/")
    sink = (ROOT / "examples/connect/sink.properties").read_text().replace("/tmp/analyses.jsonl", f"{folder}/analyses.jsonl")
    (folder / "worker.properties").write_text(worker)
    (folder / "sink.properties").write_text(sink)
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    command = java(main, folder / "worker.properties", folder / "sink.properties", memory="256m")
    return folder / "analyses.jsonl", Process("connect", folder, command)
