//! The lies, each with the names under which it must be caught, and what looks like one and is none.

use support::judge::aside::Letter;
use support::judge::lives::Count;
use support::records::Record;

use super::scene::{Case, set_header};

type Lie = (&'static str, &'static [&'static str], fn(&mut Case));

/// One lie each.
pub const LIES: [Lie; 48] = [
    ("a record is missing", &["lost"], |case| drop(case.records.remove(1))),
    ("one bit of the value's hash differs", &["altered"], |case| case.records[0].sha256.replace_range(0..1, "x")),
    ("the value is longer", &["altered"], |case| case.records[0].length += 1),
    ("a record that nobody sent", &["unknown"], |case| {
        let mut stranger = Record { offset: 9, ..case.records[0].clone() };
        set_header(&mut stranger, "ce_id", "00");
        set_header(&mut stranger, "retell_position", "99");
        case.records.push(stranger);
    }),
    ("another topic", &["lost", "wrong topic"], |case| case.records[0].topic = "t.call_ended".into()),
    ("another key", &["wrong key"], |case| case.records[0].key = Some(b"other".to_vec())),
    ("no key", &["wrong key"], |case| case.records[0].key = None),
    ("a partition that Java would not choose", &["wrong partition"], |case| case.records[0].java_partition = Some(1)),
    ("received later than answered", &["wrong timestamp"], |case| case.records[0].timestamp += 5000),
    ("received earlier than sent", &["wrong timestamp"], |case| case.records[0].timestamp -= 5000),
    ("stored twice", &["duplicated by content"], |case| {
        let mut copy = Record { offset: 3, ..case.records[1].clone() };
        set_header(&mut copy, "retell_position", "77");
        case.records.push(copy);
    }),
    ("stored twice, and a kill does not excuse it", &["duplicated by content"], |case| {
        case.kill(10);
        let mut copy = Record { offset: 3, ..case.records[1].clone() };
        set_header(&mut copy, "retell_position", "77");
        case.records.push(copy);
    }),
    ("sent again without a kill", &["duplicated by position", "stepped back"], Case::repeat),
    ("sent again before the kill", &["duplicated by position", "stepped back"], |case| {
        case.kill(10);
        case.repeat();
        case.circumstances.cuts[0].ends.values_mut().for_each(|end| *end = 100);
    }),
    (
        "sent again before the kill, and the new producer came after it",
        &["duplicated by position", "stepped back"],
        |case| {
            case.kill(10);
            case.repeat();
            case.circumstances.cuts[0].ends.values_mut().for_each(|end| *end = 100);
            case.circumstances.renewals = 1;
        },
    ),
    ("three copies by one new producer", &["duplicated by position", "stepped back"], |case| {
        case.circumstances.renewals = 1;
        case.repeat();
        case.records.push(Record { offset: 5, ..case.records[1].clone() });
    }),
    ("sent again before the client began to count anew", &["duplicated by position", "stepped back"], |case| {
        case.repeat();
        case.count_anew_at(5);
    }),
    ("three copies by a client that counted anew once", &["duplicated by position", "stepped back"], |case| {
        case.count_anew_at(3);
        case.repeat();
        case.records.push(Record { offset: 5, ..case.records[1].clone() });
    }),
    ("sent again from before the checkpoint", &["repeated from before the checkpoint"], |case| {
        case.kill(12);
        case.repeat();
    }),
    ("sent again after a kill, and the checkpoint cannot be read", &["no marks"], |case| {
        case.kill(11);
        case.repeat();
        case.circumstances.cuts[0].marks = Err("no sound slot".into());
    }),
    ("a checkpoint that has lost its marks", &["no marks"], |case| {
        case.kill(11);
        case.repeat();
        case.kill_again();
        case.circumstances.cuts[1].marks = Ok(Default::default());
    }),
    ("sent again, and its lane alone is not marked", &["repeated from before the checkpoint"], |case| {
        case.kill(11);
        case.repeat();
        case.circumstances.cuts[0].marks = Ok([("t.call_ended".to_string(), 1)].into());
    }),
    ("three copies after one kill", &["duplicated by position", "stepped back"], |case| {
        case.kill(10);
        case.repeat();
        case.records.push(Record { offset: 5, ..case.records[1].clone() });
    }),
    ("two events at one position", &["position used twice"], |case| {
        set_header(&mut case.records[1], "retell_position", "10");
    }),
    ("the journal's order is left", &["stepped back"], |case| {
        case.step_back();
    }),
    ("the journal's order is left before the kill", &["stepped back"], |case| {
        case.kill(10);
        case.step_back();
    }),
    ("events of one key in another order", &["out of order"], Case::swap),
    ("the topic for all lacks them", &["lost"], |case| case.circumstances.all_topic = Some("t.everything".into())),
    ("in quarantine, and not expected there", &["quarantined"], Case::quarantine),
    ("expected in quarantine, and not there", &["quarantined"], |case| case.circumstances.quarantined = 1),
    ("missing, and another event is in quarantine", &["lost"], |case| {
        case.quarantine();
        case.aside.quarantined[0].bytes[31] ^= 1;
    }),
    ("a dead letter that nobody expected", &["dead letter"], Case::set_aside),
    ("a dead letter on its topic that nobody expected", &["dead letter"], |case| {
        let own_topic = case.records[1].topic.clone();
        set_header(&mut case.records[1], "retell_topic", &own_topic);
        case.records[1].topic = "t.dead_letter".into();
    }),
    ("a dead letter with another body", &["altered"], |case| {
        case.set_aside();
        case.circumstances.dead_letters = 1;
        case.aside.letters[0].sha256.replace_range(0..1, "x");
    }),
    ("a dead letter that cannot be read", &["altered", "lost"], |case| {
        case.set_aside();
        case.circumstances.dead_letters = 1;
        case.aside.letters[0] = Letter { damage: Some("too short"), ..Letter::default() };
    }),
    ("a dead letter of another topic", &["lost"], |case| {
        case.set_aside();
        case.circumstances.dead_letters = 1;
        case.aside.letters[0].topic = "t.call_ended".into();
    }),
    ("a file set aside that cannot be read", &["unread"], |case| {
        case.aside.unread.push("quarantine: permission denied".into());
    }),
    ("memory above its bound", &["memory"], |case| case.usage.memory_bytes = 101 << 20),
    ("descriptors above their bound", &["descriptors"], |case| case.usage.descriptors = 51),
    ("one received too many", &["metrics"], |case| case.tell("call_analyzed\"} 2", "call_analyzed\"} 3")),
    ("a duplicate told as received", &["metrics"], |case| {
        case.tell("call_analyzed\"} 2", "call_analyzed\"} 3");
        case.tell("duplicate_total{source=\"default\"} 1", "duplicate_total{source=\"default\"} 0");
    }),
    ("one published too few", &["metrics"], |case| case.tell("call_analyzed\"} 3", "call_analyzed\"} 2")),
    ("a refusal that is not told", &["metrics"], |case| case.tell("no_room\",source=\"default\"} 1", "no_room\"} 0")),
    ("a refusal for another reason", &["metrics"], |case| case.tell("reason=\"wrong\"", "reason=\"journal\"")),
    ("a backlog where nothing waits", &["metrics"], |case| {
        case.tell("backlog_events{topic=\"t.call_analyzed\"} 0", "backlog_events{topic=\"t.call_analyzed\"} 1");
    }),
    ("a killed life that published more than there is", &["metrics"], |case| {
        case.life.was_killed = true;
        case.life.gained = Count::at_most(2);
    }),
    ("a killed life that received more than was sent", &["metrics"], |case| {
        case.kill_after_scrape(2);
        case.tell("call_analyzed\"} 2", "call_analyzed\"} 5");
    }),
    ("a killed life that had answered more than it told", &["metrics"], |case| {
        case.kill_after_scrape(2);
        case.tell("call_analyzed\"} 2", "call_analyzed\"} 1");
    }),
];

type Excused = (&'static str, fn(&mut Case));

/// Nothing is wrong here.
pub const EXCUSED: [Excused; 15] = [
    ("no trouble at all", |_| ()),
    ("missing, and never promised", |case| {
        case.ledger.entries[1].kept_turn = None;
        case.records.remove(1);
    }),
    ("sent again after a kill, from the checkpoint on", |case| {
        case.kill(11);
        case.repeat();
    }),
    ("sent again after a kill, to another partition as it has no key", |case| {
        case.kill(11);
        case.repeat_elsewhere();
    }),
    ("sent again by a new producer", |case| {
        case.circumstances.renewals = 1;
        case.repeat();
    }),
    ("sent again by a client that counts anew", |case| {
        case.count_anew_at(3);
        case.repeat();
    }),
    ("sent again before the kill by a new producer", |case| {
        case.kill(10);
        case.repeat();
        case.circumstances.cuts[0].ends.values_mut().for_each(|end| *end = 100);
        case.circumstances.cuts[0].renewals = 1;
        case.circumstances.renewals = 1;
    }),
    ("in another order, and sent at once", |case| {
        case.swap();
        case.ledger.entries.iter_mut().for_each(|entry| entry.kept_turn = Some(100));
    }),
    ("on the topic for all, too", |case| {
        case.circumstances.all_topic = Some("t.everything".into());
        let topic = "t.everything".to_string();
        let second: Vec<_> = case.records.iter().map(|r| Record { topic: topic.clone(), ..r.clone() }).collect();
        case.records.extend(second);
    }),
    ("in quarantine, as expected", |case| {
        case.quarantine();
        case.circumstances.quarantined = 1;
    }),
    ("a dead letter, as expected", |case| {
        case.set_aside();
        case.circumstances.dead_letters = 1;
    }),
    ("a killed life that counted less than there is", |case| {
        case.kill_after_scrape(2);
        case.tell("published_total{topic=\"t.call_analyzed\"} 3", "published_total{topic=\"t.call_analyzed\"} 1");
    }),
    ("an event that was refused as late and kept all the same", |case| {
        case.tell("no_room\",source=\"default\"} 1", "no_room\",source=\"default\"} 0");
        case.tell("late\",source=\"default\"} 0", "late\",source=\"default\"} 1");
        case.tell("call_analyzed\"} 2", "call_analyzed\"} 3");
    }),
    ("killed before any lane was marked", |case| {
        case.kill(11);
        case.repeat();
        case.circumstances.cuts[0].marks = Ok(Default::default());
    }),
    ("killed twice, and sent again after each", |case| {
        case.kill(11);
        case.repeat();
        case.kill_again();
        let third = Record { offset: 5, ..case.records[2].clone() };
        case.records.push(third);
    }),
];

/// Each header taken away, and one that does not belong there.
pub fn header_lies() -> Vec<(String, Case)> {
    let names: Vec<String> = Case::faultless().records[0].headers.iter().map(|(name, _)| name.clone()).collect();
    let mut cases: Vec<(String, Case)> = Vec::new();
    for name in names.into_iter().filter(|name| name != "ce_id") {
        let mut case = Case::faultless();
        case.records[0].headers.retain(|(n, _)| *n != name);
        cases.push((format!("{name} was taken away"), case));
    }
    let mut odd = Case::faultless();
    set_header(&mut odd.records[0], "retell_origin", "x");
    cases.push(("retell_origin was added".into(), odd));
    cases
}
