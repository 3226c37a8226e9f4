//! Random stories against one judge: nothing skipped, nothing invented, order kept, marks never ahead.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::kafka::{Cluster, Dice, Event as Mishap};
use super::{Bench, Memory, Slot, topics};
use crate::event::Event;
use crate::journal::LaneMark;
use crate::publisher::TopicState;
use crate::publisher::routing::Router;

const DEAD: &str = "t.dead_letter";

/// Everything that is safe from a position on: positions by topic where they should have gone.
fn safe(memory: &Memory, cluster: &Cluster, from: u64) -> BTreeMap<String, BTreeSet<u64>> {
    let mut safe: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (name, topic) in &cluster.topics {
        for written in topic.log.iter().filter(|written| written.position >= from) {
            let meant = written.headers.get("retell_topic").unwrap_or(name);
            safe.entry(meant.clone()).or_default().insert(written.position);
        }
    }
    for payload in memory.dead.values() {
        let (topic, position) = read_dead(payload);
        let topic = if topic.is_empty() { DEAD.to_owned() } else { topic };
        safe.entry(topic).or_default().insert(position);
    }
    safe
}

/// Topic and position of a dead letter on disk.
pub(super) fn read_dead(payload: &[u8]) -> (String, u64) {
    let mut rest = &payload[1..];
    let mut text = || {
        let length = usize::from(u16::from_le_bytes([rest[0], rest[1]]));
        let text = String::from_utf8(rest[2..2 + length].to_vec()).unwrap();
        rest = &rest[2 + length..];
        text
    };
    let (_reason, topic) = (text(), text());
    (topic, u64::from_le_bytes(rest[16..24].try_into().unwrap()))
}

/// Every delivery that the journal owes, by topic.
fn owed(memory: &Memory, router: &Router) -> BTreeMap<String, BTreeSet<u64>> {
    owed_from(memory, router, 0)
}

/// Every delivery that the journal owes behind the first `passed` records, by topic.
fn owed_from(memory: &Memory, router: &Router, passed: usize) -> BTreeMap<String, BTreeSet<u64>> {
    let mut owed: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for (index, record) in memory.records.iter().enumerate().skip(passed) {
        let Some(payload) = record.record() else { continue };
        let lanes = match Event::decode(payload.clone()) {
            Ok(event) => {
                let route = router.route(event.source(), &event.peek());
                [Some(route.own), route.all]
            }
            Err(_) => [Some(router.dead_letter()), None],
        };
        for lane in lanes.into_iter().flatten() {
            owed.entry(router.topics()[lane].to_string()).or_default().insert(index as u64 + 1);
        }
    }
    owed
}

/// A mark is never ahead of what is safe. Looks at what lies behind the marks before it; those were judged.
pub(super) fn judge_marks(marks: &[LaneMark], memory: &Memory, cluster: &Cluster, router: &Router) {
    let lowest = memory.marks.iter().map(|mark| mark.position.0).min().unwrap_or(1);
    let known = |topic: &str| memory.marks.iter().find(|mark| mark.topic == topic).map(|mark| mark.position.0);
    // A new topic owes what no lane has settled.
    let judged = |topic: &str| known(topic).unwrap_or(lowest);
    let from = marks.iter().map(|mark| judged(&mark.topic)).min().unwrap_or(1);
    let (owed, safe) = (owed_from(memory, router, from as usize - 1), safe(memory, cluster, from));
    let none = BTreeSet::new();
    for mark in marks {
        let owed = owed.get(&mark.topic).unwrap_or(&none);
        let safe = safe.get(&mark.topic).unwrap_or(&none);
        let newly = judged(&mark.topic).min(mark.position.0)..mark.position.0;
        let ahead: Vec<&u64> = owed.range(newly).filter(|position| !safe.contains(position)).collect();
        assert!(ahead.is_empty(), "{} is marked at {:?} without {ahead:?}\n{cluster}", mark.topic, mark.position);
    }
}

/// Order per topic and key, byte equality, nothing invented, nothing missing.
#[track_caller]
pub(super) fn judge(bench: &Bench) {
    let (memory, cluster) = (bench.memory(), bench.cluster());
    let router = Router::new(&bench.topics);
    let (owed, safe) = (owed(&memory, &router), safe(&memory, &cluster, 0));
    for (name, topic) in &cluster.topics {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for written in topic.log.iter().filter(|written| !written.headers.contains_key("retell_topic")) {
            let record = memory.records[written.position as usize - 1].record().expect("published a damaged record");
            if let Ok(event) = Event::decode(record.clone()) {
                assert_eq!(event.body()[..], written.value[..], "position {}", written.position);
            }
            if seen.insert(written.position) && !written.key.is_empty() {
                let before = last.insert(&written.key, written.position).unwrap_or(0);
                assert!(before < written.position, "{name}: {before} before {}\n{cluster}", written.position);
            }
        }
    }
    for (name, positions) in &safe {
        let owed = owed.get(name).cloned().unwrap_or_default();
        assert!(positions.is_subset(&owed), "{name} has what nobody sent\n{cluster}");
    }
    for (name, positions) in &owed {
        let is_safe = |position: &&u64| safe.get(name).is_some_and(|safe| safe.contains(position));
        let missing: Vec<&u64> = positions.iter().filter(|position| !is_safe(position)).collect();
        assert!(missing.is_empty(), "{name} misses {missing:?}\n{cluster}");
    }
}

/// Only records above the topic's limit are dead letters.
fn judge_dead(bench: &Bench, limit: usize) {
    let (memory, cluster) = (bench.memory(), bench.cluster());
    let in_topic = cluster.topics[DEAD].log.iter().map(|written| written.position);
    for position in in_topic.chain(memory.dead.values().map(|payload| read_dead(payload).1)) {
        let payload = memory.records[position as usize - 1].record().unwrap();
        let Ok(event) = Event::decode(payload.clone()) else { continue };
        assert!(event.body().len() > limit, "position {position} is a dead letter and would have fitted\n{cluster}");
    }
}

fn append_some(bench: &Bench, dice: &mut Dice) {
    for _ in 0..dice.below(40) {
        let key = format!("k{}", dice.below(7));
        match dice.below(40) {
            0 => _ = bench.body(Bytes::from_static(b"not json")),
            1 => _ = bench.record(Bytes::from_static(b"\x63no envelope")),
            2 => bench.memory().records.push(if dice.one_in(2) { Slot::Damaged } else { Slot::Gap }),
            3 => _ = bench.event("call_ended", &key, 2_000),
            4..15 => _ = bench.event("call_started", &key, 10),
            _ => _ = bench.event("call_ended", &key, 10),
        }
    }
}

fn mishap(bench: &mut Bench, dice: &mut Dice) {
    let names = bench.topics.lanes();
    let name = &names[dice.below(names.len() as u64) as usize];
    let mut cluster = bench.cluster();
    match dice.below(12) {
        0 => cluster.up = !cluster.up,
        1 => {
            let topic = cluster.topic(name);
            topic.state = if topic.state == TopicState::Known { TopicState::Missing } else { TopicState::Known };
        }
        2 => cluster.topic(name).state = TopicState::Forbidden,
        3 => cluster.topic(name).answers ^= true,
        4 => cluster.script.extend([None, Some(Mishap::Unknown)]),
        5 if dice.one_in(2) => cluster.script.push_back(Some(Mishap::Unproven)),
        5 => cluster.script.push_back(Some(Mishap::Fatal)),
        6 => cluster.script.push_back(Some(Mishap::Refused)),
        7 => cluster.room = if cluster.room == 7 { 1_000 } else { 7 },
        8 => {
            drop(cluster);
            let mut memory = bench.memory();
            memory.is_full ^= true;
        }
        9 => {
            drop(cluster);
            let mut memory = bench.memory();
            memory.read_fails ^= true;
        }
        10 => {
            drop(cluster);
            bench.start();
        }
        _ => {}
    }
}

fn heal(bench: &Bench) {
    let mut cluster = bench.cluster();
    (cluster.up, cluster.room) = (true, 1_000);
    cluster.script.clear();
    for topic in cluster.topics.values_mut() {
        (topic.state, topic.answers) = (TopicState::Known, true);
    }
    drop(cluster);
    let mut memory = bench.memory();
    (memory.is_full, memory.read_fails) = (false, false);
}

/// One story: events and mishaps by the seed, then all is healed, and everything must be where it belongs.
fn story(seed: u64) {
    let mut dice = Dice(seed);
    let mut topics = topics();
    topics.all = dice.one_in(3).then(|| "everything".to_owned());
    let mut bench = Bench::new(topics);
    bench.cluster().dice = Dice(seed ^ 0xabcdef);
    let limit = if dice.one_in(2) { 1_000 } else { usize::MAX };
    bench.cluster().topics.values_mut().for_each(|topic| topic.limit = limit);
    bench.start();
    for _ in 0..25 {
        append_some(&bench, &mut dice);
        mishap(&mut bench, &mut dice);
        bench.run(if dice.one_in(6) { 2_500 } else { dice.below(250) });
    }
    heal(&bench);
    bench.run_until_done(120_000);
    judge(&bench);
    judge_dead(&bench, limit);
}

/// More of them: `RETELL_BRIDGE_TEST_STORIES=5000`; one of them: `RETELL_BRIDGE_TEST_SEED=7`.
#[test]
fn whatever_happens_nothing_is_skipped_and_order_is_kept() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let stories = number("RETELL_BRIDGE_TEST_STORIES").unwrap_or(40);
    let seeds = number("RETELL_BRIDGE_TEST_SEED").map_or(0..stories, |seed| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = std::panic::catch_unwind(|| story(seed)) {
            eprintln!("the story of RETELL_BRIDGE_TEST_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
