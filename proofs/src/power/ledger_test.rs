//! The judge sees each kind of loss and of invention.

use retell_bridge::journal::Position;

use super::*;

fn lane(position: u64) -> Vec<LaneMark> {
    vec![LaneMark { topic: "retell.call_ended".into(), position: Position(position), takes: 0 }]
}

/// Four records, answered at 1 to 4; lanes marked at 2, then at 3; the first of these marks is synced.
fn promised() -> (Ledger, Found) {
    let mut ledger = Ledger::new(7);
    let mut found =
        Found { lanes: lane(3), oldest: 1, next: 5, tags: Vec::new(), records: Vec::new(), is_freed: false };
    for position in 1..=4 {
        let (id, tag, payload) = ledger.make(40, 1_000);
        ledger.answered(id, Ok(position));
        found.records.push(Seen { position, tag, received_at_ms: 1_000, payload });
        found.tags.insert(0, (tag, 1_000));
    }
    for (generation, position) in [(5, 2), (6, 3)] {
        ledger.handed_over(&lane(position));
        ledger.looked_at(generation, &lane(position));
    }
    assert_eq!(ledger.wrong, None);
    (ledger, found)
}

fn verdict(change: impl FnOnce(&mut Ledger, &mut Found)) -> String {
    let (mut ledger, mut found) = promised();
    change(&mut ledger, &mut found);
    ledger.recovered(&found, false).err().or(ledger.wrong).unwrap_or_default()
}

#[test]
fn a_journal_that_keeps_its_promises_is_believed() {
    assert_eq!(verdict(|_, _| {}), "");
    // Both were settled in the checkpoint that was recovered.
    let freed = |_: &mut Ledger, found: &mut Found| {
        found.records.drain(..2);
        found.tags.truncate(2);
        found.oldest = 3;
    };
    assert_eq!(verdict(freed), "");
}

#[test]
fn a_record_that_is_gone_or_changed_or_elsewhere_is_seen() {
    let gone = verdict(|_, found| drop((found.records.remove(3), found.tags.remove(0))));
    assert!(gone.starts_with("LOST: record 3, answered Ok, at 4"), "{gone}");
    assert!(verdict(|_, found| found.records[1].payload[20] ^= 1).contains("not byte-equal"));
    assert!(verdict(|_, found| found.records[1].received_at_ms += 1).contains("not byte-equal"));
    assert!(verdict(|_, found| found.records[3].payload = vec![9; 40]).contains("never appended"));
    assert!(verdict(|_, found| found.records.swap(0, 1)).contains("not within"));
    assert!(verdict(|_, found| found.tags.truncate(found.tags.len() - 1)).contains("tags"));
}

#[test]
fn a_hole_in_what_is_retained_is_seen_though_all_lanes_have_passed_it() {
    assert!(verdict(|_, found| drop((found.records.remove(1), found.tags.remove(2)))).starts_with("LOST"));
}

#[test]
fn what_is_freed_while_it_is_read_is_no_loss_but_what_a_lane_needs_is() {
    let freed = |count: usize| {
        verdict(|_, found| {
            found.is_freed = true;
            found.records.drain(..count);
        })
    };
    assert_eq!(freed(2), "");
    assert!(freed(3).starts_with("LOST: record 2"));
}

#[test]
fn lanes_ahead_of_the_marks_or_behind_the_sync_are_seen() {
    assert_eq!(verdict(|_, found| found.lanes = lane(2)), "", "its sync was seen, that of the next was not");
    assert!(verdict(|_, found| found.lanes = lane(4)).contains("only these"));
    assert!(verdict(|_, found| found.lanes = Vec::new()).contains("only these"));
    assert!(
        verdict(|ledger, found| {
            ledger.closed(&ledger.newest());
            found.lanes = lane(2);
        })
        .contains("only these")
    );
}

#[test]
fn marks_that_are_handed_over_while_a_clean_stop_ends_need_not_be_synced() {
    let stopped = |found_at: u64| {
        verdict(move |ledger, found| {
            let newest = ledger.newest();
            ledger.handed_over(&lane(4));
            ledger.closed(&newest);
            found.lanes = lane(found_at);
        })
    };
    assert_eq!([stopped(3), stopped(4)], ["", ""]);
    assert!(stopped(2).contains("only these"));
}

#[test]
fn a_position_given_twice_is_seen() {
    let again = |position: u64| {
        move |ledger: &mut Ledger, _: &mut Found| {
            ledger.next = 5;
            let (id, ..) = ledger.make(40, 1_000);
            ledger.answered(id, Ok(position));
        }
    };
    let (mut ledger, _) = promised();
    again(4)(&mut ledger, &mut promised().1);
    assert!(ledger.wrong.is_some_and(|wrong| wrong.contains("again")));
    assert!(verdict(|_, found| found.next = 4).contains("next position"));
}

#[test]
fn an_ok_for_what_was_handed_in_without_power_is_seen() {
    let (mut ledger, _) = promised();
    ledger.cut();
    let (id, ..) = ledger.make(40, 1_000);
    ledger.answered(id, Ok(5));
    assert!(ledger.wrong.is_some_and(|wrong| wrong.contains("power was off")));
}

#[test]
fn a_refused_record_that_is_there_is_seen() {
    let there = verdict(|ledger, found| {
        let (id, tag, payload) = ledger.make(40, 1_000);
        ledger.answered(id, Err(AppendError::NoRoom));
        found.records.push(Seen { position: 5, tag, received_at_ms: 1_000, payload });
        found.next = 6;
    });
    assert!(there.contains("refused"), "{there}");
}
