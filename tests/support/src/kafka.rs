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
use rustix::process::{Pid, Signal};

use super::batches;
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
    /// Where it listens.
    port: u16,
    controller_port: u16,
    /// Where it says that it listens.
    advertised: u16,
    id: usize,
    /// Every node of its cluster, itself among them.
    peers: Vec<Peer>,
    /// Beside the plain one.
    listeners: Vec<Listener>,
    lines: Arc<Lines>,
    process: Option<Process>,
}

/// A listener beside the plain one.
pub struct Listener {
    name: &'static str,
    protocol: &'static str,
    pub port: u16,
}

impl Listener {
    /// On a free port.
    pub fn new(name: &'static str, protocol: &'static str) -> Listener {
        Listener { name, protocol, port: free_port() }
    }
}

/// What the nodes of a cluster know of each other.
#[derive(Clone)]
struct Peer {
    id: usize,
    advertised: u16,
    controller_port: u16,
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

    /// A broker of one's own with further lines in its settings, up and answering.
    pub fn start_with(lines: &[&str]) -> Kafka {
        let mut kafka = Kafka::prepare();
        let properties = format!("{}{}\n", kafka.server_properties(), lines.join("\n"));
        std::fs::write(kafka.properties(), properties).expect("the target folder can be written");
        kafka.up();
        kafka
    }

    /// As [`Kafka::start_with`], with further listeners.
    pub fn start_listening(listeners: Vec<Listener>, lines: &[String]) -> Kafka {
        let mut kafka = Kafka::with_ports(1, None);
        kafka.listeners = listeners;
        kafka.format(&["--standalone"]);
        let properties = format!("{}{}\n", kafka.server_properties(), lines.join("\n"));
        std::fs::write(kafka.properties(), properties).expect("the target folder can be written");
        kafka.up();
        kafka
    }

    /// A broker that has its ports and its storage and does not run yet.
    pub fn prepare() -> Kafka {
        let kafka = Kafka::with_ports(1, None);
        kafka.format(&["--standalone"]);
        kafka
    }

    /// As [`Kafka::prepare`]; its clients are told to come to `port`, where a relay of the test listens.
    pub fn prepare_behind(port: u16) -> Kafka {
        let kafka = Kafka::with_ports(1, Some(port));
        kafka.format(&["--standalone"]);
        kafka
    }

    /// Three nodes, up and answering: replication 3, and two of them in sync are needed for a record.
    pub fn start_three() -> Vec<Kafka> {
        let mut nodes: Vec<Kafka> = (1..=3).map(|id| Kafka::with_ports(id, None)).collect();
        let peers: Vec<Peer> = nodes.iter().flat_map(|node| node.peers.clone()).collect();
        let voter = |peer: &Peer| {
            let (id, port) = (peer.id, peer.controller_port);
            format!("{id}@127.0.0.1:{port}:MkU3OEVBNTcwNTJENDM2{id}A")
        };
        let voters = peers.iter().map(voter).collect::<Vec<_>>().join(",");
        for node in &mut nodes {
            node.peers.clone_from(&peers);
            node.format(&["--initial-controllers", &voters]);
        }
        nodes.iter_mut().for_each(Kafka::launch);
        nodes.iter_mut().for_each(Kafka::wait_up);
        nodes
    }

    fn with_ports(id: usize, advertised: Option<u16>) -> Kafka {
        let folder = tools::folder("kafka");
        let (port, controller_port) = (free_port(), free_port());
        let advertised = advertised.unwrap_or(port);
        let peers = vec![Peer { id, advertised, controller_port }];
        Kafka {
            folder,
            port,
            controller_port,
            advertised,
            id,
            peers,
            listeners: Vec::new(),
            lines: Arc::default(),
            process: None,
        }
    }

    fn format(&self, how: &[&str]) {
        std::fs::write(self.properties(), self.server_properties()).expect("the target folder can be written");
        let format = tools::java()
            .args(["kafka.tools.StorageTool", "format"])
            .args(how)
            .args(["-t", CLUSTER_ID, "-c"])
            .arg(self.properties())
            .output()
            .unwrap_or_else(|error| panic!("java cannot be run ({error}): apt-get install openjdk-17-jdk-headless"));
        assert!(format.status.success(), "Kafka's storage was not formatted: {format:?}");
    }

    /// Every node of the cluster, as a client is told.
    pub fn brokers(&self) -> String {
        self.peers.iter().map(|peer| format!("127.0.0.1:{}", peer.advertised)).collect::<Vec<_>>().join(",")
    }

    /// The port that it really listens on.
    pub fn listens_on(&self) -> u16 {
        self.port
    }

    /// How many nodes keep each record.
    pub fn replication(&self) -> i32 {
        self.peers.len() as i32
    }

    /// Starts it and does not wait.
    pub fn launch(&mut self) {
        let mut command = tools::java();
        command.arg("-Xmx512m").arg("kafka.Kafka").arg(self.properties()).current_dir(&self.folder);
        self.process = Some(Process::start(command, Arc::clone(&self.lines)).expect("java has run before"));
    }

    /// Waits until it, and its cluster, answer.
    pub fn wait_up(&mut self) {
        assert!(self.answers_in_time(), "Kafka did not come up:\n{}", self.last_lines());
    }

    /// SIGSTOP: it does nothing, and its connections stay open.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().expect("Kafka is running").pid();
        let pid = Pid::from_raw(pid as i32).expect("a child has a process id");
        rustix::process::kill_process(pid, signal).expect("a child can be signalled");
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

    /// Ends it, and leaves its log and data in `folder` for whoever wants to understand them.
    pub fn leave(&mut self, folder: &Path) {
        drop(self.process.take());
        let (lines, node) = (self.lines.since(0).join("\n"), folder.join(format!("node-{}", self.id)));
        let left = std::fs::rename(&self.folder, &node).and_then(|()| std::fs::write(node.join("log"), lines));
        left.unwrap_or_else(|error| eprintln!("node {} could not be left in {}: {error}", self.id, node.display()));
    }

    fn try_up(&mut self) -> bool {
        self.launch();
        self.answers_in_time()
    }

    fn answers_in_time(&mut self) -> bool {
        let answered = wait_until(START_TIMEOUT, || match self.answers() {
            true => Some(true),
            false => (!self.process.as_mut().is_some_and(Process::running)).then_some(false),
        });
        answered == Some(true)
    }

    /// Its own metadata names it. Not a port that is open: that comes seconds earlier; nor what the other nodes say: they
    /// name a dead one for seconds.
    fn answers(&self) -> bool {
        let client: Result<BaseConsumer, _> = super::topics::client(&format!("127.0.0.1:{}", self.advertised)).create();
        let metadata = client.and_then(|client| client.fetch_metadata(None, Duration::from_secs(1)));
        metadata.is_ok_and(|metadata| metadata.brokers().iter().any(|broker| broker.id() == self.id as i32))
    }

    fn clashed(&self) -> bool {
        self.lines.since(0).iter().any(|line| line.contains("Address already in use"))
    }

    fn last_lines(&self) -> String {
        let lines = self.lines.since(0);
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Bytes of this node's copy of a partition, as they lie on the disk: also those that no consumer sees yet. Copies of one
    /// partition have equal bytes.
    pub fn log_bytes(&self, topic: &str, partition: i32) -> u64 {
        self.logs(topic, partition).iter().filter_map(|log| Some(log.metadata().ok()?.len())).sum()
    }

    /// Where a producer began to count anew in this node's copy of a partition, see [`batches::renumbered`].
    pub fn renumbered(&self, topic: &str, partition: i32) -> Vec<i64> {
        let logs = self.logs(topic, partition);
        let bytes: Vec<u8> = logs.iter().flat_map(|log| std::fs::read(log).unwrap_or_default()).collect();
        batches::renumbered(&bytes)
    }

    /// In order: their names are their first offsets.
    fn logs(&self, topic: &str, partition: i32) -> Vec<PathBuf> {
        let Ok(files) = std::fs::read_dir(self.folder.join(format!("data/{topic}-{partition}"))) else {
            return Vec::new();
        };
        let paths = files.flatten().map(|file| file.path());
        let mut logs: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
        logs.sort();
        logs
    }

    fn properties(&self) -> PathBuf {
        self.folder.join("server.properties")
    }

    fn server_properties(&self) -> String {
        let (port, controller_port, advertised, id) = (self.port, self.controller_port, self.advertised, self.id);
        let controllers: Vec<String> =
            self.peers.iter().map(|peer| format!("127.0.0.1:{}", peer.controller_port)).collect();
        let (controllers, replication) = (controllers.join(","), self.replication());
        let in_sync = (replication + 1) / 2;
        let data = self.folder.join("data");
        let more = |one: &dyn Fn(&Listener) -> String| self.listeners.iter().map(one).collect::<String>();
        let addresses = more(&|Listener { name, port, .. }| format!(",{name}://127.0.0.1:{port}"));
        let protocols = more(&|Listener { name, protocol, .. }| format!(",{name}:{protocol}"));
        format!(
            "process.roles=broker,controller
node.id={id}
controller.quorum.bootstrap.servers={controllers}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{addresses}
advertised.listeners=PLAINTEXT://127.0.0.1:{advertised},CONTROLLER://127.0.0.1:{controller_port}{addresses}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT{protocols}
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replication}
transaction.state.log.num.partitions=1
transaction.state.log.min.isr={in_sync}
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=true
default.replication.factor={replication}
min.insync.replicas={in_sync}
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
pub fn free_port() -> u16 {
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
