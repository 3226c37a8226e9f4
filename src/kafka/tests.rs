//! The producer, the prober and the reader against librdkafka's mock cluster, in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};

use super::consumer::{ReadError, Reader, Start, TopicRecord};
use super::errors::UNPROVEN;
use super::settings::tests::options;
use super::{KafkaProducer, Options};
use crate::event::{Event, Kind};
use crate::health::Health;
use crate::journal::{self, Journal, storage::Disk};
use crate::kafka::topics as plan;
use crate::metrics::Metrics;
use crate::publisher::{Action, Delivery, Producer, Receipt, SendError, TOO_LARGE, TopicState};
use crate::publisher::{Publisher, Topics};
use crate::schema::Watch;

const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    cluster: MockCluster<'static, DefaultProducerContext>,
    options: Options,
}

impl Bench {
    fn new(properties: &[(&str, &str)]) -> Bench {
        let cluster = MockCluster::new(1).expect("a mock cluster");
        let mut options = options(properties);
        options.brokers = cluster.bootstrap_servers();
        options.body_max_bytes = 1_000_000;
        let bench = Bench { cluster, options };
        bench.topic("t");
        bench
    }

    fn topic(&self, name: &str) {
        self.cluster.create_topic(name, 2, 1).expect("a topic");
    }

    fn producer(&self) -> KafkaProducer {
        KafkaProducer::new(self.options.clone(), vec!["t".into()]).expect("settings that hold")
    }

    fn read(&self, count: usize) -> Vec<TopicRecord> {
        let mut reader = Reader::new(&self.options).unwrap();
        reader.add("t", Start::Beginning).unwrap();
        let until = Instant::now() + PATIENCE;
        let mut records = Vec::new();
        while records.len() < count && Instant::now() < until {
            records.extend(reader.next(Duration::from_millis(100)).unwrap());
        }
        records
    }
}

fn send(producer: &mut KafkaProducer, token: u64, value: &[u8]) -> Result<(), SendError> {
    let headers: [(&'static str, &[u8]); 2] = [("retell_position", b"7"), ("ce_id", b"x")];
    let delivery = Delivery { topic: "t", key: Some(b"call"), value, headers: &headers, timestamp_ms: 1_234, token };
    producer.send(&delivery)
}

fn receipts(producer: &mut KafkaProducer, count: usize) -> Vec<Receipt> {
    let until = Instant::now() + PATIENCE;
    let mut receipts = Vec::new();
    while receipts.len() < count && Instant::now() < until {
        producer.poll(Duration::from_millis(5), &mut receipts);
    }
    assert_eq!(receipts.len(), count, "{receipts:?}");
    receipts
}

#[track_caller]
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_delivery_arrives_whole_and_is_confirmed() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    send(&mut producer, u64::MAX, b"body").unwrap();
    assert_eq!(receipts(&mut producer, 1), [Receipt { token: u64::MAX, outcome: Ok(()) }]);
    let [record] = &bench.read(1)[..] else { panic!("one record") };
    assert_eq!((&record.value[..], record.key.as_deref()), (&b"body"[..], Some(&b"call"[..])));
    assert_eq!((record.header("retell_position"), record.header("ce_id")), (Some("7"), Some("x")));
    assert_eq!((record.timestamp_ms, record.headers.len()), (Some(1_234), 2));
}

/// What this thread has used of a core.
fn used() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(used).expect("it is not negative")
}

#[test]
fn a_wait_costs_next_to_nothing_and_ends_with_the_first_receipt() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    let (mut seen, silence) = (Vec::new(), Duration::from_millis(500));
    let (began, before) = (Instant::now(), used());
    while began.elapsed() < silence {
        producer.poll(Duration::from_millis(2), &mut seen);
    }
    let share = (used() - before).as_secs_f64() / silence.as_secs_f64();
    assert!(share < 0.5, "{share:.2} of a core for nothing: it asks all the time");
    send(&mut producer, 1, b"value").unwrap();
    let began = Instant::now();
    producer.poll(PATIENCE, &mut seen);
    assert!(!seen.is_empty() && began.elapsed() < PATIENCE / 2, "{} receipts in {:?}", seen.len(), began.elapsed());
}

#[test]
fn reading_begins_where_it_is_asked_to_and_knows_its_end() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    (0..5).for_each(|token| send(&mut producer, token, &[b'0' + token as u8]).unwrap());
    receipts(&mut producer, 5);
    // One key, one partition.
    for (start, wanted) in [(Start::Beginning, 5), (Start::Last(2), 2), (Start::Last(9), 5), (Start::Now, 0)] {
        let mut reader = Reader::new(&bench.options).unwrap();
        reader.add("t", start).unwrap();
        let until = Instant::now() + PATIENCE;
        let mut read = Vec::new();
        while !reader.is_at_end() && Instant::now() < until {
            read.extend(reader.next(Duration::from_millis(100)).unwrap().map(|record| record.offset));
        }
        assert_eq!(read, (5 - wanted..5).collect::<Vec<i64>>(), "{start:?}");
    }
    // The broker in memory knows no times: everything is read.
    let mut reader = Reader::new(&bench.options).unwrap();
    reader.add("t", Start::Since(9_000)).unwrap();
    assert!(!reader.is_at_end());
    assert!(matches!(reader.add("absent", Start::Now), Err(ReadError::Missing { .. })));
}

#[test]
fn a_topic_is_known_or_missing_and_is_not_made_by_asking() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    for _ in 0..2 {
        producer.probe("t");
        producer.probe("missing");
        eventually("both answers", || {
            producer.topic_state("t") != TopicState::Unknown && producer.topic_state("missing") != TopicState::Unknown
        });
        assert_eq!(producer.topic_state("t"), TopicState::Known);
        assert_eq!(producer.topic_state("missing"), TopicState::Missing);
    }
    assert!(producer.is_up());
}

#[test]
fn an_outage_gives_no_receipt_and_ends_with_all_in_order() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    send(&mut producer, 0, b"0").unwrap();
    receipts(&mut producer, 1);
    bench.cluster.broker_down(1).unwrap();
    (1..100).for_each(|token| send(&mut producer, token, token.to_string().as_bytes()).unwrap());
    let mut early = Vec::new();
    eventually("told that no broker answers", || {
        producer.poll(Duration::from_millis(5), &mut early);
        !producer.is_up()
    });
    assert_eq!(early, []);
    bench.cluster.broker_up(1).unwrap();
    let receipts = receipts(&mut producer, 99);
    assert!(receipts.iter().all(|receipt| receipt.outcome.is_ok()));
    let values: Vec<Vec<u8>> = bench.read(100).into_iter().map(|record| record.value).collect();
    assert_eq!(values, (0..100).map(|number| number.to_string().into_bytes()).collect::<Vec<_>>());
}

#[test]
fn what_is_too_large_for_the_client_is_set_aside_at_once() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    let Err(SendError::Refused(error)) = send(&mut producer, 1, &vec![b'x'; 1_100_000]) else { panic!("refused") };
    assert_eq!(error.action, Action::SetAside(TOO_LARGE));
    send(&mut producer, 2, b"small").unwrap();
    assert_eq!(receipts(&mut producer, 1)[0].token, 2);
}

#[test]
fn a_refused_batch_ends_the_producer_and_a_new_one_goes_on() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    send(&mut producer, 0, b"0").unwrap();
    receipts(&mut producer, 1);
    bench.cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    send(&mut producer, 1, b"1").unwrap();
    let outcome = receipts(&mut producer, 1)[0].outcome.unwrap_err();
    assert_eq!((outcome.action, outcome.reason), (Action::SetAside(TOO_LARGE), "msg_size_too_large"));
    let mut late = Vec::new();
    eventually("the end of the producer", || {
        producer.poll(Duration::from_millis(5), &mut late);
        producer.has_ended()
    });
    let Err(SendError::Refused(error)) = send(&mut producer, 2, b"2") else { panic!("refused") };
    assert_eq!(error.action, Action::NewProducer);
    producer.replace(true, &mut late).unwrap();
    assert!(!producer.has_ended());
    send(&mut producer, 2, b"2").unwrap();
    assert_eq!(receipts(&mut producer, 1), [Receipt { token: 2, outcome: Ok(()) }]);
}

/// Two batches are on their way; the first is refused for now by a broker that then takes the second, as a leader without
/// any copy of the first does. Seen with three nodes of Apache Kafka 4.3.1, of which two were killed (`kills`, seed 6).
#[test]
fn what_the_client_only_infers_to_be_written_is_not_confirmed() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    send(&mut producer, 0, b"0").unwrap();
    receipts(&mut producer, 1);
    bench.cluster.broker_round_trip_time(1, Duration::from_millis(500)).unwrap();
    bench.cluster.request_errors(RDKafkaApiKey::Produce, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS]);
    send(&mut producer, 1, b"1").unwrap();
    let mut early = Vec::new();
    // It has left: what comes now is a batch of its own.
    producer.poll(Duration::from_millis(100), &mut early);
    assert_eq!(early, []);
    send(&mut producer, 2, b"2").unwrap();
    let receipts = receipts(&mut producer, 2);
    assert_eq!(receipts, [Receipt { token: 1, outcome: Err(UNPROVEN) }, Receipt { token: 2, outcome: Ok(()) }]);
    let values: Vec<Vec<u8>> = bench.read(2).into_iter().map(|record| record.value).collect();
    assert_eq!(values, [b"0", b"2"], "a client that no longer says so makes this test needless");
}

#[test]
fn a_new_producer_comes_after_every_receipt_of_the_old_one() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    send(&mut producer, 0, b"0").unwrap();
    receipts(&mut producer, 1);
    bench.cluster.broker_down(1).unwrap();
    (1..50).for_each(|token| send(&mut producer, token, b"x").unwrap());
    let mut receipts = Vec::new();
    producer.replace(false, &mut receipts).unwrap();
    let purged = receipts.iter().filter(|receipt| receipt.outcome.is_err_and(|error| error.reason == "purged")).count();
    assert!(purged > 0 && receipts.len() <= 49, "{receipts:?}");
    bench.cluster.broker_up(1).unwrap();
    send(&mut producer, 99, b"y").unwrap();
    assert_eq!(self::receipts(&mut producer, 1)[0].token, 99);
}

#[test]
fn a_full_queue_takes_the_same_record_later() {
    let bench = Bench::new(&[("queue.buffering.max.messages", "10")]);
    let mut producer = bench.producer();
    let mut got = Vec::new();
    let mut was_full = false;
    for token in 0..100 {
        while let Err(error) = send(&mut producer, token, token.to_string().as_bytes()) {
            assert_eq!(error, SendError::QueueFull);
            was_full = true;
            producer.poll(Duration::from_millis(5), &mut got);
        }
    }
    got.extend(receipts(&mut producer, 100 - got.len()));
    assert!(was_full);
    let values: Vec<Vec<u8>> = bench.read(100).into_iter().map(|record| record.value).collect();
    assert_eq!(values, (0..100).map(|number| number.to_string().into_bytes()).collect::<Vec<_>>());
}

#[test]
fn what_the_journal_has_synced_is_soon_on_its_topic_and_a_second_start_sends_nothing_again() {
    let bench = Bench::new(&[]);
    let names = topics().lanes();
    names.iter().for_each(|name| bench.topic(name));
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
        let disk = Arc::new(Disk::new(folder.path()).unwrap());
        let (journal, recovered) = Journal::open(disk, journal_options(), metrics.clone(), health.clone()).unwrap();
        let producer = KafkaProducer::new(bench.options.clone(), names.clone()).unwrap();
        let publisher = Publisher::start(
            &topics(),
            Box::new(producer),
            &journal,
            &recovered,
            metrics.clone(),
            health,
            Watch::off(),
        )
        .unwrap();
        (0..200).for_each(|number| append(&journal, number));
        assert_eq!(publisher.stop(Instant::now() + PATIENCE).deliveries, 0);
        journal.close().unwrap();
        let published = r#"events_published_total{topic="retell.call_ended"} 200"#;
        assert!(metrics.scrape().contains(published), "round {round}: {}", metrics.scrape());
    }
}

fn topics() -> Topics {
    let types = Kind::KNOWN.to_vec();
    Topics { prefix: "retell.".into(), source_prefixes: [].into(), types, all: None, overrides: [].into() }
}

fn journal_options() -> journal::Options {
    let mut options = journal::Options {
        segment_bytes: 1024 * 1024,
        size_max_bytes: 0,
        retention: Duration::from_secs(3_600),
        quarantine_retention: Duration::from_secs(3_600),
        checkpoint_every: Duration::from_millis(100),
        allow_ephemeral: true,
    };
    options.size_max_bytes = 4 * options.size_least_bytes();
    options
}

/// Returns when it is synced.
fn append(journal: &Journal, number: usize) {
    let body = format!(r#"{{"event":"call_ended","call":{{"call_id":"c{number}"}}}}"#);
    let event = Event::unsigned("default", 1, body.into());
    let (done, synced) = std::sync::mpsc::channel();
    let append = journal::Append {
        tag: event.identity(&event.peek()).0,
        received_at_ms: 1,
        payload: event.encode(),
        done: Box::new(move |outcome| done.send(outcome).unwrap()),
    };
    journal.append(append).unwrap();
    synced.recv().unwrap().unwrap();
}

#[test]
fn the_plan_names_what_is_missing_and_says_what_it_cannot_know() {
    let bench = Bench::new(&[]);
    let shape = plan::Shape { partitions: 6, ..Default::default() };
    // The mock cluster does not answer about settings, which leaves the limits unknown.
    let found = plan::plan(&bench.options, &["t".into(), "new".into()], &shape).unwrap();
    let step = |topic: &str, wanted: fn(&plan::Step) -> bool| {
        found.iter().any(|lack| lack.topic == topic && wanted(&lack.step))
    };
    assert!(step("new", |step| matches!(step, plan::Step::Create { partitions: 6, .. })), "{found:?}");
    assert!(step("t", |step| matches!(step, plan::Step::LimitUnknown { .. })), "{found:?}");
    assert!(
        step("t", |step| matches!(step, plan::Step::AddPartitions { from: 2, to: 6, allowed: false })),
        "{found:?}"
    );
}

#[test]
fn the_client_says_its_version_and_its_features() {
    assert!(super::librdkafka_version().starts_with("2."));
    let features = super::builtin_features();
    assert!(features.iter().any(|feature| feature == "lz4") && features.len() > 3, "{features:?}");
}

#[test]
fn a_partition_whose_leader_is_not_there_yet_is_asked_again() {
    let bench = Bench::new(&[]);
    let mut producer = bench.producer();
    send(&mut producer, 1, b"x").unwrap();
    receipts(&mut producer, 1);
    bench
        .cluster
        .request_errors(RDKafkaApiKey::ListOffsets, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION; 3]);
    assert_eq!(bench.read(1).len(), 1);
}

/// The nice value of each of this process's threads with this name, from `/proc`.
fn nice_values(name: &str) -> Vec<i32> {
    let threads = std::fs::read_dir("/proc/self/task").expect("Linux tells the threads").flatten();
    let stats = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    let named = stats.filter(|stat| stat.contains(&format!("({name})")));
    // Field 19, the 17th behind the name (proc_pid_stat(5)).
    let nice = |stat: String| stat.rsplit_once(") ")?.1.split(' ').nth(16)?.parse().ok();
    named.filter_map(nice).collect()
}

#[test]
fn the_clients_threads_let_the_intake_go_first() {
    let bench = Bench::new(&[]);
    let usual = rustix::process::getpriority_process(None).expect("one's own priority can be read");
    let mut producer = bench.producer();
    send(&mut producer, 1, b"v").expect("it takes a record");
    receipts(&mut producer, 1);
    // The test's own consumers and probers have such threads as well, at the usual priority.
    let lowered = || nice_values("rdk:main").into_iter().any(|nice| nice > usual);
    assert!(lowered(), "no main thread of a client gives way: {:?}", nice_values("rdk:main"));
    assert!(nice_values("rdk:broker1").into_iter().any(|nice| nice > usual), "{:?}", nice_values("rdk:broker1"));
}
