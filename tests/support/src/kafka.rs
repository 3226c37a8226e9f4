//! One node of Apache Kafka, started by the test and gone with it.
//!
//! It makes topics for whoever asks for an unknown one (`auto.create.topics.enable=true`): a bridge that would let a
//! sender, or its own question, make a topic is then caught, because every topic of a test's prefix is read at the end.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::process::{Lines, Process, wait_until};
use super::tools;

/// Below the ports that the system hands to clients, so that a broker that comes back finds its own free.
const PORTS: std::ops::Range<u32> = 20_000..32_000;
const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Any 16 bytes will do.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qk";

static SHARED: OnceLock<Kafka> = OnceLock::new();
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

pub struct Kafka {
    folder: PathBuf,
    port: u16,
    controller_port: u16,
    lines: Arc<Lines>,
    process: Option<Process>,
}

impl Kafka {
    /// The broker that all tests share which do not stop it. Topic prefixes keep them apart.
    pub fn shared() -> &'static Kafka {
        SHARED.get_or_init(Kafka::start)
    }

    /// A broker of one's own, up and answering.
    pub fn start() -> Kafka {
        for _ in 0..3 {
            let mut kafka = Kafka::prepare();
            if kafka.try_up() {
                return kafka;
            }
            // Somebody took a port between the look and the start.
            assert!(kafka.clashed(), "Kafka did not start:\n{}", kafka.last_lines());
        }
        panic!("no free pair of ports was found in three attempts");
    }

    /// A broker that has its ports and its storage and does not run yet.
    pub fn prepare() -> Kafka {
        let folder = tools::folder("kafka");
        let (port, controller_port) = (free_port(), free_port());
        let kafka = Kafka { folder, port, controller_port, lines: Arc::default(), process: None };
        std::fs::write(kafka.properties(), kafka.server_properties()).expect("the target folder can be written");
        let format = tools::java()
            .args(["kafka.tools.StorageTool", "format", "--standalone", "-t", CLUSTER_ID, "-c"])
            .arg(kafka.properties())
            .output()
            .unwrap_or_else(|error| panic!("java cannot be run ({error}): apt-get install openjdk-17-jdk-headless"));
        assert!(format.status.success(), "Kafka's storage was not formatted: {format:?}");
        kafka
    }

    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Starts it (again), with the data that it had, and waits until it answers.
    pub fn up(&mut self) {
        let up = self.try_up() || (self.clashed() && self.try_up());
        assert!(up, "Kafka did not come up:\n{}", self.last_lines());
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process.take().expect("Kafka is running").kill();
    }

    /// An orderly stop.
    pub fn stop(&mut self) {
        let mut process = self.process.take().expect("Kafka is running");
        process.terminate();
        process.wait(Duration::from_secs(60)).expect("Kafka ends after SIGTERM");
    }

    fn try_up(&mut self) -> bool {
        let mut command = tools::java();
        command.arg("-Xmx512m").arg("kafka.Kafka").arg(self.properties()).current_dir(&self.folder);
        let mut process = Process::start(command, Arc::clone(&self.lines)).expect("java has run before");
        let answered = wait_until(START_TIMEOUT, || match self.answers() {
            true => Some(true),
            false => (!process.running()).then_some(false),
        });
        self.process = Some(process);
        answered == Some(true)
    }

    /// Metadata names the broker. Not a port that is open: that comes seconds earlier.
    fn answers(&self) -> bool {
        let client: Result<BaseConsumer, _> = super::topics::client(&self.brokers()).create();
        let metadata = client.and_then(|client| client.fetch_metadata(None, Duration::from_secs(1)));
        metadata.is_ok_and(|metadata| !metadata.brokers().is_empty())
    }

    fn clashed(&self) -> bool {
        self.lines.since(0).iter().any(|line| line.contains("Address already in use"))
    }

    fn last_lines(&self) -> String {
        let lines = self.lines.since(0);
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn server_properties(&self) -> String {
        let (port, controller_port) = (self.port, self.controller_port);
        let data = self.folder.join("data");
        format!(
            "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
# A killed broker may come back as soon as this has passed.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
",
            data = data.display()
        )
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.process.take());
        if std::thread::panicking() {
            eprintln!("--- Kafka's last lines ---\n{}\n---", self.last_lines());
        }
        let _ = std::fs::remove_dir_all(Path::new(&self.folder));
    }
}

/// A port that nobody listens on, and that this process has not named before.
fn free_port() -> u16 {
    let spread = std::process::id().wrapping_mul(2_654_435_761) % (PORTS.end - PORTS.start);
    for _ in 0..1000 {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed) * 7;
        let port = (PORTS.start + (spread + step) % (PORTS.end - PORTS.start)) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {} and {}", PORTS.start, PORTS.end);
}
