//! One scene for each promise.

use std::time::Duration;

use bytes::Bytes;

use super::kafka::{Event, Scripted};
use super::model::{judge, read_dead};
use super::{Bench, Slot, topics};
use crate::event::Kind;
use crate::journal::{LaneMark, Position};
use crate::publisher::{TopicState, Topics};
use crate::schema::{Mode, Watch};

const STARTED: &str = "t.call_started";
const ENDED: &str = "t.call_ended";
const DEAD: &str = "t.dead_letter";

#[test]
fn every_event_goes_to_its_topic_in_order_and_is_marked() {
    let mut bench = Bench::started();
    for number in 0..300 {
        bench.event(if number % 3 == 0 { "call_started" } else { "call_ended" }, &format!("k{}", number % 5), 10);
    }
    bench.run_until_done(10_000);
    judge(&bench);
    assert_eq!((bench.mark_of(STARTED), bench.mark_of(ENDED), bench.mark_of(DEAD)), (301, 301, 301));
    assert_eq!(bench.cluster().positions(ENDED).len(), 200);
    bench.assert_metric(r#"events_published_total{topic="t.call_started"} 100"#);
    bench.assert_metric(r#"journal_backlog_events{topic="t.call_ended"} 0"#);
    assert!(bench.memory().reads <= 600, "each record is read once, and once more where it is counted ahead");
}

#[test]
fn a_missing_topic_stalls_its_own_lane_and_gets_its_events_in_order_when_it_is_made() {
    let mut bench = Bench::started();
    bench.cluster().topic(STARTED).state = TopicState::Missing;
    for round in 0..60 {
        bench.event("call_started", "a", 10);
        bench.event("call_ended", "a", 10);
        bench.run(2_000);
        assert_eq!(bench.cluster().positions(ENDED).len(), round + 1, "the other lane goes on");
    }
    assert_eq!((bench.cluster().positions(STARTED).len(), bench.mark_of(STARTED)), (0, 1));
    assert!(bench.mark_of(ENDED) > 119);
    bench.assert_metric(r#"lane_stalled{topic="t.call_started"} 1"#);
    bench.assert_metric(r#"journal_backlog_events{topic="t.call_started"} 60"#);
    let text = bench.metrics.scrape();
    let figure = r#"retell_bridge_journal_oldest_unpublished_seconds{topic="t.call_started"} "#;
    let age = text.lines().find_map(|line| line.strip_prefix(figure));
    assert!(age.is_some_and(|age| age.parse::<f64>().unwrap() > 110.0), "{age:?}");
    bench.cluster().topic(STARTED).state = TopicState::Known;
    bench.run_until_done(10_000);
    judge(&bench);
    bench.assert_metric(r#"lane_stalled{topic="t.call_started"} 0"#);
    assert!(bench.cluster().probes < 400, "a missing topic is asked for twice a second");
}

/// Sum of a metric's pairs.
fn sum(text: &str, name: &str) -> u64 {
    let pairs = text.lines().filter(|line| line.starts_with(&format!("retell_bridge_{name}{{")));
    pairs.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

#[test]
fn the_drift_watch_is_shown_each_event_once_though_lanes_part_and_meet_again_and_changes_none() {
    let mut bench = Bench::started();
    let watch = Watch::start(Mode::All, bench.metrics.clone()).unwrap();
    bench.core.as_mut().unwrap().watch = watch;
    bench.cluster().topic(STARTED).state = TopicState::Missing;
    for _ in 0..40 {
        bench.event("call_started", "a", 10);
        bench.event("call_ended", "a", 10);
        bench.run(1_000);
    }
    // Nobody can read it behind its key; and one of a type that has no schema.
    bench.body(Bytes::from_static(br#"{"event":"call_ended","call":{"call_id":"a","broken"#));
    bench.event("of_tomorrow", "a", 10);
    bench.cluster().topic(STARTED).state = TopicState::Known;
    bench.run_until_done(10_000);
    judge(&bench);
    // The watch ends when it has seen all.
    bench.core = None;
    let shown = |text: &str| sum(text, "schema_checks_total") + sum(text, "schema_checks_skipped_total");
    let began = std::time::Instant::now();
    while shown(&bench.metrics.scrape()) < 81 {
        assert!(began.elapsed() < Duration::from_secs(10), "{}", bench.metrics.scrape());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(shown(&bench.metrics.scrape()), 81);
}

#[test]
fn topics_whose_refusals_end_the_producer_do_not_starve_one_that_takes_its_events() {
    let mut bench = Bench::new(Topics { types: Kind::KNOWN.to_vec(), ..topics() });
    bench.cluster().connects_in = Duration::from_millis(400);
    let forbidden: Vec<String> = bench.topics.lanes().into_iter().filter(|topic| topic != STARTED).collect();
    assert!(forbidden.len() > 10, "{forbidden:?}");
    forbidden.iter().for_each(|topic| bench.cluster().topic(topic).forbids = true);
    bench.start();
    for round in 0..120 {
        for kind in Kind::KNOWN.iter().map(|kind| kind.name()).chain(["of_tomorrow"]) {
            bench.event(kind, "a", 10);
        }
        bench.run(1_000);
        let arrived = bench.cluster().positions(STARTED).len();
        assert!(arrived + 12 > round, "{arrived} of {} after {round} s", round + 1);
    }
    let replaced = bench.cluster().replaced.len();
    assert!(replaced < 120, "{replaced} producers: each topic is tried ever more rarely");
    bench.assert_metric(r#"lane_stalled{topic="t.call_ended"} 1"#);
    forbidden.iter().for_each(|topic| bench.cluster().topic(topic).forbids = false);
    bench.run_until_done(60_000);
    judge(&bench);
    bench.assert_metric(r#"lane_stalled{topic="t.call_ended"} 0"#);
}

#[test]
fn an_outage_of_kafka_reads_the_backlog_once_and_counts_it_meanwhile() {
    let mut bench = Bench::started();
    bench.event("call_ended", "a", 10);
    bench.run_until_done(5_000);
    bench.cluster().up = false;
    for number in 0..5_000 {
        bench.event(if number % 2 == 0 { "call_started" } else { "call_ended" }, &format!("k{}", number % 9), 10);
    }
    bench.run(60_000);
    bench.assert_metric(r#"journal_backlog_events{topic="t.call_started"} 2500"#);
    bench.assert_metric("kafka_up 0");
    bench.assert_metric(r#"lane_stalled{topic="t.call_started"} 0"#);
    bench.cluster().up = true;
    bench.run_until_done(60_000);
    judge(&bench);
    let reads = bench.memory().reads;
    assert!(reads <= 2 * 5_000 + 100, "{reads} reads: once to publish, once to count");
}

#[test]
fn an_outage_reads_on_where_it_was_with_each_event_that_comes() {
    let mut bench = Bench::started();
    bench.cluster().up = false;
    bench.run(1_000);
    let before = bench.memory().readers;
    for number in 1..=200 {
        bench.event("call_ended", "a", 10);
        bench.run(500);
        bench.assert_metric(&format!(r#"journal_backlog_events{{topic="t.call_ended"}} {number}"#));
    }
    let readers = bench.memory().readers - before;
    assert!(readers <= 2, "{readers} times a place in the journal was looked for");
    bench.cluster().up = true;
    bench.run_until_done(20_000);
    judge(&bench);
}

#[test]
fn ahead_of_a_head_that_goes_on_only_what_has_waited_for_seconds_is_counted() {
    const EVENTS: usize = 8_000;
    let mut bench = Bench::started();
    bench.cluster().room = 7;
    bench.run(1_000);
    bench.events(EVENTS as u64, |_| ("call_ended", "a", 10));
    bench.run(4_000);
    let (reads, published) = (bench.memory().reads, bench.cluster().topics["t.call_ended"].log.len());
    assert!((500..EVENTS / 2).contains(&published), "{published} published");
    // A few slices before the first receipts: until then nobody knows that Kafka takes anything.
    assert!(reads <= published + 1_000, "{reads} reads for {published} published");
    bench.run(7_000);
    let published = bench.cluster().topics["t.call_ended"].log.len();
    let counted = bench.core.as_ref().unwrap().left() as usize;
    assert!(published < EVENTS && published + counted >= EVENTS, "{counted} counted, {published} published");
    bench.run_until_done(120_000);
    judge(&bench);
}

#[test]
fn while_a_backlog_drains_what_counts_it_keeps_its_place() {
    const EVENTS: u64 = 20_000;
    let mut bench = Bench::new(topics());
    bench.events(EVENTS, |number| ("call_ended", format!("k{}", number % 5_000), 10));
    bench.start();
    bench.run_until(60_000, |bench| bench.core.as_ref().unwrap().census.to() > Position(EVENTS));
    let readers = bench.memory().readers;
    let reads = bench.memory().reads as u64;
    assert!(readers <= 4, "{readers} times a place in the journal was looked for");
    assert!(reads <= 2 * EVENTS, "{reads} reads");
    bench.run_until_done(60_000);
    judge(&bench);
}

#[test]
fn a_backlog_of_the_start_is_counted_at_once_and_all_of_it_at_the_end() {
    const EVENTS: u64 = 3_000;
    let left = |bench: &Bench| bench.core.as_ref().unwrap().left();
    let mut bench = Bench::new(topics());
    bench.cluster().room = 7;
    bench.events(EVENTS, |_| ("call_ended", "a", 10));
    bench.start();
    bench.run_until(3_000, |bench| left(bench) > EVENTS / 2);
    bench.events(EVENTS, |_| ("call_ended", "a", 10));
    bench.run(500);
    assert!(left(&bench) <= EVENTS, "{} are counted ahead of a head that goes on", left(&bench));
    bench.core.as_mut().unwrap().census.all_is_due();
    bench.run(500);
    let published = bench.cluster().topics["t.call_ended"].log.len() as u64;
    assert!(left(&bench) + published >= 2 * EVENTS, "{} left, {published} published", left(&bench));
}

#[test]
fn a_start_without_kafka_counts_the_backlog_and_publishes_when_it_is_there() {
    let mut bench = Bench::new(topics());
    bench.cluster().up = false;
    bench.events(1_000, |_| ("call_ended", "a", 10));
    bench.start();
    bench.run(5_000);
    bench.assert_metric(r#"journal_backlog_events{topic="t.call_ended"} 1000"#);
    assert_eq!(bench.cluster().queued(), 0, "no topic is fed before it is known");
    bench.cluster().up = true;
    bench.run_until_done(20_000);
    judge(&bench);
}

#[test]
fn a_restart_goes_on_from_the_marks() {
    let mut bench = Bench::started();
    bench.events(200, |number| ("call_ended", format!("k{}", number % 4), 10));
    bench.run_until_done(10_000);
    bench.start();
    bench.events(50, |number| ("call_ended", format!("k{}", number % 4), 10));
    bench.run_until_done(10_000);
    assert_eq!(bench.cluster().positions(ENDED).len(), 250, "nothing is sent twice after a clean stop");
    judge(&bench);
}

#[test]
fn an_unknown_outcome_makes_a_new_producer_that_skips_what_was_confirmed() {
    let mut bench = Bench::started();
    bench.events(500, |number| ("call_ended", format!("k{}", number % 8), 10));
    bench.cluster().script.extend([None, None, None, Some(Event::Unknown)]);
    bench.run_until_done(30_000);
    judge(&bench);
    assert_eq!(bench.cluster().replaced, [false]);
    let written = bench.cluster().positions(ENDED).len();
    assert!((500..=508).contains(&written), "{written}: only the unconfirmed batch was sent again");
}

#[test]
fn a_refused_delivery_holds_its_lane_and_nothing_overtakes_it() {
    let mut bench = Bench::started();
    bench.events(100, |_| ("call_ended", "one", 10));
    bench.cluster().script.extend([None, Some(Event::Refused), None, Some(Event::Refused)]);
    bench.run_until_done(30_000);
    assert_eq!(bench.cluster().positions(ENDED), (1..=100).collect::<Vec<_>>());
    assert!(bench.cluster().replaced.is_empty());
    bench.assert_metric(r#"lane_stalled{topic="t.call_ended"} 0"#);
}

#[test]
fn producers_that_end_again_and_again_are_replaced_ever_more_slowly() {
    let mut bench = Bench::started();
    bench.event("call_ended", "a", 10);
    bench.cluster().script.extend(std::iter::repeat_n(Some(Event::Fatal), 10_000));
    bench.run(60_000);
    let replaced = bench.cluster().replaced.len();
    assert!((5..40).contains(&replaced), "{replaced} producers in a minute");
    bench.cluster().script.clear();
    bench.run_until_done(60_000);
    judge(&bench);
}

#[test]
fn of_a_refused_batch_only_the_record_that_is_refused_alone_is_set_aside() {
    let mut bench = Bench::started();
    bench.cluster().topics.values_mut().for_each(|topic| topic.limit = 5_000);
    bench.events(300, |number| ("call_ended", "one", if number == 130 { 9_000 } else { 10 }));
    bench.run_until_done(60_000);
    judge(&bench);
    assert_eq!(bench.cluster().positions(ENDED).len(), 299);
    let memory = bench.memory();
    assert_eq!(memory.dead.values().map(|payload| read_dead(payload)).collect::<Vec<_>>(), [(ENDED.to_owned(), 131)]);
    drop(memory);
    assert!(bench.cluster().replaced.contains(&true));
    bench.assert_metric(r#"events_dead_lettered_total{reason="too_large"} 1"#);
    bench.run(60_000);
    assert_eq!(bench.cluster().replaced.last(), Some(&false), "batches again after a while");
}

#[test]
fn records_too_large_cost_their_verdicts_and_no_pauses_and_the_other_topics_go_on_meanwhile() {
    let mut bench = Bench::started();
    for topic in [ENDED, DEAD] {
        bench.cluster().topic(topic).limit = 5_000;
    }
    const LARGE: u64 = 300;
    bench.cluster().connects_in = Duration::from_millis(50);
    bench.events(LARGE + 1, |number| ("call_ended", "one", if number == LARGE { 10 } else { 9_000 }));
    bench.run(2_000);
    let set_aside = bench.memory().dead.len() as u64;
    assert!((20..LARGE).contains(&set_aside), "{set_aside} in two seconds");
    for key in ["a", "b", "c"] {
        let position = bench.event("call_started", key, 10);
        bench.run_until(1_000, |bench| bench.cluster().positions(STARTED).contains(&position));
    }
    assert!((bench.memory().dead.len() as u64) < LARGE, "there were still some to come");
    bench.run_until_done(60_000);
    judge(&bench);
    assert_eq!((bench.memory().dead.len() as u64, bench.cluster().positions(ENDED)), (LARGE, vec![LARGE + 1]));
}

#[test]
fn what_the_client_itself_refuses_is_set_aside_without_a_new_producer() {
    let mut bench = Bench::started();
    bench.cluster().client_limit = 5_000;
    for bytes in [10, 9_000, 10] {
        bench.event("call_ended", "one", bytes);
    }
    bench.run_until_done(10_000);
    assert_eq!(bench.cluster().positions(ENDED), [1, 3]);
    assert_eq!(bench.memory().dead.len(), 1);
    assert!(bench.cluster().replaced.is_empty());
}

#[test]
fn what_keeps_kafka_from_taking_events_is_known_with_its_cure() {
    let mut bench = Bench::started();
    let trouble = |bench: &Bench| bench.core.as_ref().expect("started").trouble().unwrap_or_default();
    bench.cluster().topic(STARTED).state = TopicState::Forbidden;
    bench.event("call_started", "a", 10);
    bench.run(2_000);
    let forbidden = "topic t.call_started takes nothing (topic_forbidden): grant Write on the topic";
    assert!(trouble(&bench).starts_with(forbidden), "{}", trouble(&bench));
    bench.cluster().up = false;
    assert_eq!(trouble(&bench), "Kafka does not answer: check kafka.brokers and the network");
    bench.cluster().up = true;
    bench.cluster().topic(STARTED).state = TopicState::Known;
    bench.run_until_done(10_000);
    bench.run(1_000);
    assert_eq!(trouble(&bench), "");
}

#[test]
fn an_unreadable_envelope_goes_to_the_dead_letter_topic_and_to_disk_where_that_is_missing() {
    let mut bench = Bench::started();
    bench.record(Bytes::from_static(b"\x63future"));
    bench.run_until_done(10_000);
    let cluster = bench.cluster();
    let [written] = &cluster.topics[DEAD].log[..] else { panic!("one dead letter\n{cluster}") };
    assert_eq!((&written.value[..], written.headers["retell_reason"].as_str()), (&b"\x63future"[..], "invalid"));
    drop(cluster);
    bench.cluster().topic(DEAD).state = TopicState::Missing;
    bench.start();
    bench.record(Bytes::from_static(b"\x63future"));
    bench.run_until_done(10_000);
    assert_eq!(
        bench.memory().dead.values().map(|payload| read_dead(payload)).collect::<Vec<_>>(),
        [(String::new(), 2)]
    );
}

#[test]
fn a_dead_letter_that_fits_nowhere_holds_its_lane_until_there_is_room() {
    let mut bench = Bench::started();
    bench.cluster().client_limit = 5_000;
    bench.memory().is_full = true;
    bench.event("call_ended", "one", 9_000);
    bench.event("call_ended", "one", 10);
    bench.event("call_started", "two", 10);
    bench.run(10_000);
    assert_eq!((bench.mark_of(ENDED), bench.memory().dead.len()), (1, 0));
    assert_eq!(bench.cluster().positions(STARTED), [3], "the other lanes go on");
    bench.memory().is_full = false;
    bench.run_until_done(10_000);
    judge(&bench);
}

#[test]
fn a_full_client_queue_keeps_the_order() {
    let mut bench = Bench::started();
    bench.cluster().room = 3;
    bench.events(400, |_| ("call_ended", "one", 10));
    bench.run_until_done(60_000);
    assert_eq!(bench.cluster().positions(ENDED), (1..=400).collect::<Vec<_>>());
}

#[test]
fn a_topic_that_swallows_records_does_not_hold_the_others_up() {
    // Many calls, as much as may be is on its way; and few, of each of which one record is.
    for (keys, outstanding) in [(6_000, 2_000), (7, 7)] {
        let mut bench = Bench::started();
        bench.cluster().topic(STARTED).answers = false;
        bench.cluster().room = 100_000;
        for number in 0..6_000 {
            let kind = if number % 2 == 0 { "call_started" } else { "call_ended" };
            bench.event(kind, &format!("k{}", number % keys), 10);
        }
        bench.run(600_000);
        assert_eq!(bench.cluster().positions(ENDED).len(), 3_000);
        assert_eq!(bench.cluster().queued(), outstanding);
        bench.assert_metric(r#"lane_stalled{topic="t.call_started"} 1"#);
        bench.cluster().topic(STARTED).answers = true;
        bench.run_until_done(600_000);
        judge(&bench);
    }
}

#[test]
fn a_busy_topic_borrows_what_the_others_leave_and_many_stuck_ones_leave_each_other_its_own() {
    const BYTES: usize = 100_000;
    let on_their_way = |stuck: &[Kind]| {
        let mut bench = Bench::new(Topics { types: Kind::KNOWN.to_vec(), ..topics() });
        bench.start();
        bench.cluster().room = 100_000;
        stuck.iter().for_each(|kind| bench.cluster().topic(&format!("t.{}", kind.name())).answers = false);
        for round in 0..80 {
            for kind in stuck.iter().chain([&Kind::CallEnded]) {
                bench.event(kind.name(), &format!("{}{round}", kind.name()), BYTES);
            }
        }
        bench.run(600_000);
        assert_eq!(bench.cluster().positions(ENDED).len(), 80, "the one that answers goes on");
        bench.cluster().queued()
    };
    let one = on_their_way(&[Kind::CallStarted]);
    assert!((36..=41).contains(&one), "{one} records of 100 kB are on their way, not some 4 MiB");
    let others: Vec<Kind> = Kind::KNOWN.into_iter().filter(|kind| *kind != Kind::CallEnded).collect();
    let many = on_their_way(&others);
    assert!((150..=251).contains(&many), "{many} records of 100 kB are on their way, not nearly 24 MiB");
}

#[test]
fn a_key_is_in_order_where_the_client_lets_a_later_batch_past_an_earlier_one() {
    let mut bench = Bench::started();
    bench.events(60, |number| ("call_ended", format!("k{}", number % 20), 10));
    bench.cluster().script.extend([Some(Event::Unproven), None, Some(Event::Unproven), None, Some(Event::Unproven)]);
    bench.run_until_done(60_000);
    assert!(bench.cluster().script.is_empty(), "it was told so three times");
    judge(&bench);
}

#[test]
fn a_journal_that_cannot_be_read_is_read_again_and_nothing_is_skipped() {
    let mut bench = Bench::started();
    bench.memory().read_fails = true;
    bench.events(10, |_| ("call_ended", "one", 10));
    bench.run(5_000);
    assert_eq!(bench.mark_of(ENDED).max(1), 1);
    bench.memory().read_fails = false;
    bench.run_until_done(10_000);
    judge(&bench);
}

#[test]
fn damaged_records_and_positions_that_no_record_has_are_passed() {
    let mut bench = Bench::started();
    bench.event("call_ended", "one", 10);
    bench.memory().records.extend([Slot::Damaged, Slot::Gap]);
    bench.event("call_ended", "one", 10);
    bench.run_until_done(10_000);
    assert_eq!((bench.cluster().positions(ENDED), bench.mark_of(ENDED)), (vec![1, 4], 5));
    bench.memory().records.push(Slot::Gap);
    bench.run_until_done(10_000);
    assert_eq!(bench.mark_of(ENDED), 6, "also where nothing follows");
}

#[test]
fn what_waited_under_an_old_name_goes_out_under_the_new_one() {
    let mut bench = Bench::started();
    bench.cluster().topic(ENDED).state = TopicState::Missing;
    for kind in ["call_started", "call_ended", "call_started", "call_ended"] {
        bench.event(kind, "one", 10);
    }
    bench.run(5_000);
    let old = std::mem::replace(&mut bench.topics.prefix, "new.".into());
    assert_eq!(old, "t.");
    let names = bench.topics.lanes();
    let fresh = super::kafka::Cluster::with_topics(names);
    bench.cluster().topics.extend(fresh.topics);
    bench.start();
    bench.run_until_done(20_000);
    assert_eq!(bench.cluster().positions("new.call_ended"), [2, 4]);
    let topics: Vec<String> = bench.memory().marks.iter().map(|mark| mark.topic.clone()).collect();
    assert!(topics.iter().all(|topic| topic.starts_with("new.")), "the old lanes end: {topics:?}");
}

#[test]
fn a_type_that_is_no_longer_listed_does_not_lose_what_waited_for_it() {
    let mut bench = Bench::started();
    bench.cluster().topic(ENDED).state = TopicState::Missing;
    bench.event("call_ended", "one", 10);
    bench.event("call_started", "one", 10);
    bench.run(5_000);
    assert_eq!(bench.mark_of("t.unrecognized"), 3);
    bench.topics.types.retain(|kind| kind.name() != "call_ended");
    bench.start();
    bench.run_until_done(20_000);
    assert_eq!(bench.cluster().positions("t.unrecognized"), [1]);
}

#[test]
fn a_lane_that_the_checkpoint_does_not_know_starts_at_the_lowest_one() {
    let mut bench = Bench::new(topics());
    bench.events(3, |_| ("call_ended", "one", 10));
    bench.cluster().topic(ENDED).log.clear();
    let mark = |topic: &str, position| LaneMark { topic: topic.into(), position: Position(position), takes: 0 };
    bench.start();
    bench.run_until_done(10_000);
    bench.memory().marks = vec![mark(STARTED, 4), mark("t.unrecognized", 3), mark(DEAD, 4)];
    bench.start();
    bench.run_until_done(10_000);
    assert_eq!(bench.cluster().positions(ENDED), [1, 2, 3, 3]);
}

#[test]
fn what_waited_for_one_topic_is_not_lost_when_its_type_moves_to_another_that_is_further() {
    let mut bench = Bench::new(topics());
    bench.start();
    bench.cluster().topic(ENDED).state = TopicState::Missing;
    bench.events(3, |number| (if number == 2 { "call_started" } else { "call_ended" }, "one", 10));
    bench.run(5_000);
    assert!(bench.cluster().positions(ENDED).is_empty());
    bench.topics.overrides.insert("call_ended".into(), STARTED.into());
    bench.topics.overrides.insert("call_started".into(), ENDED.into());
    bench.start();
    bench.run_until(10_000, |bench| bench.cluster().positions(STARTED).len() >= 3);
    let log = bench.cluster().positions(STARTED);
    assert!(log.contains(&1) && log.contains(&3), "{log:?}");
}

#[test]
fn a_lane_that_lags_far_behind_does_not_delay_the_others_after_a_restart() {
    let mut bench = Bench::started();
    bench.cluster().topic(STARTED).state = TopicState::Missing;
    bench.events(12_000, |number| ("call_started", format!("k{}", number % 5), 1));
    bench.run_until(60_000, |bench| bench.mark_of(ENDED) > 12_000);
    bench.start();
    bench.cluster().topic(STARTED).state = TopicState::Known;
    bench.event("call_ended", "new", 10);
    bench.run_until(1_000, |bench| bench.cluster().positions(ENDED) == [12_001]);
    assert!(bench.cluster().positions(STARTED).len() < 12_000, "the old ones are still going out");
    bench.run_until_done(60_000);
    judge(&bench);
}

#[test]
fn figures_of_stop_say_what_is_left() {
    let mut bench = Bench::started();
    bench.cluster().topic(ENDED).state = TopicState::Missing;
    bench.events(7, |_| ("call_ended", "one", 10));
    bench.run(3_000);
    let now = bench.now;
    assert_eq!(bench.core.as_mut().unwrap().finish(now), 7);
    assert!(!bench.core.as_mut().unwrap().is_done());
}

#[test]
fn the_scripted_producer_does_what_the_seam_asks_for() {
    // A probe forgets the answer before it.
    let bench = Bench::new(topics());
    let mut producer = Scripted::new(&bench.cluster);
    use crate::publisher::Producer;
    producer.probe(ENDED);
    assert_eq!(producer.topic_state(ENDED), TopicState::Unknown);
    bench.cluster().now = Duration::from_secs(1);
    assert_eq!(producer.topic_state(ENDED), TopicState::Known);
}
