//! Which events are checked, what is counted, and that nothing waits for it.

use std::time::Instant;

use super::*;

const SAME: &str = r#"schema_checks_total{result="same",type="call_ended"}"#;
const DRIFT: &str = r#"schema_checks_total{result="drift",type="call_ended"}"#;

fn ended(fields: &str) -> Bytes {
    Bytes::from(format!(r#"{{"event":"call_ended","call":{{"call_id":"c"{fields}}}}}"#))
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Waits until the scrape has the line.
fn wait_for(metrics: &Metrics, line: &str) {
    let began = Instant::now();
    while !metrics.scrape().contains(line) {
        assert!(began.elapsed() < at(10), "{line} is not in\n{}", metrics.scrape());
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn started(mode: Mode) -> (Watch, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (Watch::start(mode, metrics.clone()).unwrap(), metrics)
}

#[test]
fn the_counts_are_there_from_the_start_at_zero() {
    let (_watch, metrics) = started(Mode::Sampled);
    let text = metrics.scrape();
    for line in [
        r#"retell_bridge_schema_checks_total{result="drift",type="chat_inbound"} 0"#,
        r#"retell_bridge_schema_drift_total{field="body",problem="mismatch",type="call_ended"} 0"#,
        r#"retell_bridge_schema_checks_skipped_total{reason="busy"} 0"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[test]
fn a_new_field_is_counted_by_type_and_name_and_never_by_value() {
    let (mut watch, metrics) = started(Mode::All);
    watch.offer(Kind::CallEnded, &ended(r#","new":"a secret","duration_ms":"a secret""#), at(0));
    wait_for(&metrics, r#"schema_drift_total{field="call.duration_ms",problem="mismatch",type="call_ended"} 1"#);
    wait_for(&metrics, r#"schema_drift_total{field="call.new",problem="unknown",type="call_ended"} 1"#);
    wait_for(&metrics, &format!("{DRIFT} 1"));
    assert!(!metrics.scrape().contains("secret"));
}

#[test]
fn sampled_takes_one_of_each_type_in_a_second() {
    let (mut watch, metrics) = started(Mode::Sampled);
    for quarter in 0..8 {
        watch.offer(Kind::CallEnded, &ended(""), Duration::from_millis(250 * quarter));
        watch.offer(Kind::Other, &ended(""), Duration::ZERO);
    }
    wait_for(&metrics, &format!("{SAME} 2"));
    watch.offer(Kind::CallEnded, &ended(""), at(2));
    wait_for(&metrics, &format!("{SAME} 3"));
}

#[test]
fn a_watch_that_is_off_counts_nothing_and_shows_nothing() {
    let (mut watch, metrics) = started(Mode::Off);
    watch.offer(Kind::CallEnded, &ended(r#","new":1"#), at(0));
    assert!(!metrics.scrape().contains("schema_"), "{}", metrics.scrape());
}

#[test]
fn what_finds_the_watch_busy_is_passed_over_at_once_and_so_is_what_is_too_large() {
    let metrics = Arc::new(Metrics::new());
    // Nobody takes from this queue.
    let (queue, _events) = sync_channel(QUEUE_EVENTS);
    let offered_at = [None; KINDS.len()];
    let mut watch = Watch(Some(Offering { mode: Mode::All, queue, offered_at, metrics: metrics.clone() }));
    for _ in 0..QUEUE_EVENTS + 3 {
        watch.offer(Kind::CallEnded, &ended(""), at(0));
    }
    watch.offer(Kind::CallEnded, &Bytes::from(vec![b' '; BODY_MAX_BYTES + 1]), at(0));
    let text = metrics.scrape();
    assert!(text.contains(r#"schema_checks_skipped_total{reason="busy"} 3"#), "{text}");
    assert!(text.contains(r#"schema_checks_skipped_total{reason="too_large"} 1"#), "{text}");
}

#[test]
fn the_thread_ends_with_the_watch() {
    let (watch, metrics) = started(Mode::All);
    drop(watch);
    let began = Instant::now();
    while Arc::strong_count(&metrics) > 1 {
        assert!(began.elapsed() < at(10));
        std::thread::sleep(Duration::from_millis(2));
    }
}
