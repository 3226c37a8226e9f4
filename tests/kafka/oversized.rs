//! Many records that their topic will never take: each is set aside as soon as it is refused.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::bridge::{Bridge, run};
use support::events::{Event, Maker, Source};
use support::kafka::Kafka;
use support::records::Record;
use support::sender::send_all;
use support::settings::Settings;

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

/// One after the other of one call.
fn story(maker: &mut Maker, source: &Arc<Source>, kind: &str, sizes: &[usize]) -> Vec<Event> {
    let id = maker.id();
    sizes.iter().map(|size| maker.sized(source, kind, &id, false, *size)).collect()
}

fn position(record: &Record) -> u64 {
    record.header("retell_position").expect("every record has it").parse().expect("it is a number")
}

#[test]
fn a_backlog_of_oversized_events_is_drained_without_a_pause_between_them() {
    const OVERSIZED: usize = 100;
    let kafka = Kafka::shared();
    let source = Source::new("default", "/webhook", "heavy.");
    kafka.create_all(&[&source], 3, &["call_ended", "dead_letter"]);
    kafka.create_topic("heavy.call_ended", 3, &[("max.message.bytes", "100000")]);
    kafka.create_topic("heavy.dead_letter", 1, &[("max.message.bytes", "20000")]);
    let mut bridge = Bridge::start(Settings::new(NOWHERE, &[&source]));
    let mut maker = Maker::new(53);
    let mut heavy = story(&mut maker, &source, "call_ended", &[1 << 20; OVERSIZED]);
    heavy.extend(story(&mut maker, &source, "call_ended", &[900]));
    let stories = vec![heavy, story(&mut maker, &source, "call_started", &[900; 200])];
    send_all(&bridge, stories, 4, Duration::ZERO).assert_all_kept();
    bridge.kill();

    let (dir, settings, brokers) = (bridge.journal_dir(), bridge.settings_file(), kafka.brokers());
    let brokers = format!("kafka.brokers={brokers}");
    let path = |path: &Path| path.to_str().expect("a plain name").to_owned();
    let words = ["drain", &path(&dir), "--config", &path(&settings), "--set", &brokers, "--within", "120s", "--json"];
    let began = Instant::now();
    let output = run(&words, "", b"");
    let (took, said) = (began.elapsed(), String::from_utf8_lossy(&output.stderr));
    let end: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
    println!("{OVERSIZED} oversized events in {took:?}");
    assert_eq!(end["left"], 0, "{end}");
    assert_eq!(letters(&dir), OVERSIZED);
    // With a pause between two of them it was five seconds each, eight minutes.
    assert!(took < Duration::from_secs(60), "{took:?} {said}");
    assert!(!said.contains("Gap-less"), "librdkafka's own words are for who asks for them: {said}");
    let of = |topic: &str| kafka.read_all(topic).iter().map(position).collect::<Vec<u64>>();
    let (started, ended) = (of("heavy.call_started"), of("heavy.call_ended"));
    let ascends = started.is_sorted_by(|before, after| before < after);
    assert!(started.len() == 200 && ascends, "each once and in order: {started:?}");
    assert_eq!(ended.len(), 1, "the small one goes on behind the large ones");
}

/// Letters in the folder.
fn letters(dir: &Path) -> usize {
    std::fs::read_dir(dir.join("dead")).expect("the folder is there").count()
}
