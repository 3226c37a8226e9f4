//! The index alone: its bounds, its ages, its memory, and a model that does the same slowly.

use proptest::prelude::*;

use super::*;

fn tag(number: u64) -> Tag {
    blake3::hash(&number.to_le_bytes()).as_bytes()[..16].try_into().unwrap()
}

fn index(window_ms: u64, events_max: usize) -> Arc<Duplicates> {
    Arc::new(Duplicates::new(Duration::from_millis(window_ms), events_max))
}

fn first(duplicates: &Arc<Duplicates>, number: u64, now_ms: u64) -> Option<Ticket> {
    match duplicates.admit(tag(number), now_ms) {
        Admission::First(ticket) => Some(ticket),
        _ => None,
    }
}

/// Keeps an event, where it is a first copy; says whether it was.
fn keep(duplicates: &Arc<Duplicates>, number: u64, now_ms: u64) -> bool {
    first(duplicates, number, now_ms).map(|ticket| ticket.settle(Ok(()))).is_some()
}

#[test]
fn an_equal_event_within_the_window_is_a_duplicate_and_after_it_is_not() {
    let duplicates = index(100, 10);
    assert!(keep(&duplicates, 1, 1_000));
    assert!(matches!(duplicates.admit(tag(1), 1_100), Admission::Duplicate { first_received_at_ms: 1_000 }));
    assert!(keep(&duplicates, 1, 1_101));
    assert!(!keep(&duplicates, 1, 1_201));
}

#[test]
fn a_clock_that_steps_back_beyond_the_window_makes_no_duplicates() {
    let duplicates = index(100, 10);
    keep(&duplicates, 1, 1_000_000);
    assert!(keep(&duplicates, 1, 1_000));
}

#[test]
fn beyond_the_number_the_oldest_goes() {
    let duplicates = index(1_000, 3);
    (0..4).for_each(|number| assert!(keep(&duplicates, number, number)));
    assert!([1, 2, 3].into_iter().all(|number| !keep(&duplicates, number, 5)));
    assert!(keep(&duplicates, 0, 5));
}

#[test]
fn with_no_places_nothing_is_a_duplicate_and_those_that_are_queued_still_end_well() {
    let duplicates = index(1_000, 0);
    let ticket = first(&duplicates, 1, 1).unwrap();
    let second = first(&duplicates, 1, 1).unwrap();
    ticket.settle(Ok(()));
    drop(second);
    assert!(duplicates.index().unsettled.is_empty() && duplicates.index().slots.is_empty());
}

#[test]
fn a_ticket_dropped_or_failed_leaves_neither_entry_nor_place_and_tells_those_that_wait() {
    let duplicates = index(1_000, 10);
    for outcome in [None, Some(Err(AppendError::Poisoned))] {
        let ticket = first(&duplicates, 1, 1).unwrap();
        let Admission::Waiting { outcome: mut told, .. } = duplicates.admit(tag(1), 2) else { panic!("not waiting") };
        match outcome {
            None => drop(ticket),
            Some(outcome) => ticket.settle(outcome),
        }
        assert_eq!(told.try_recv().ok(), outcome);
        assert!(duplicates.index().slots.is_empty() && duplicates.index().table.is_empty());
    }
    assert!(keep(&duplicates, 1, 3));
}

#[test]
fn refusals_do_not_push_out_what_is_kept() {
    let duplicates = index(1_000, 3);
    keep(&duplicates, 1, 1);
    (100..200).for_each(|number| drop(first(&duplicates, number, 2)));
    assert!(!keep(&duplicates, 1, 3));
}

#[test]
fn recovery_takes_the_newest_within_window_and_number() {
    let duplicates = index(1_000_000, 3);
    let tags = [(tag(1), 2_000_000), (tag(2), 1_999_000), (tag(1), 1_998_000), (tag(3), 900_000), (tag(4), 1)];
    let mut read = 0;
    duplicates.recover(tags.into_iter().inspect(|_| read += 1), 2_000_000);
    assert!(read <= 4, "read on after the window's end");
    assert!(matches!(duplicates.admit(tag(1), 2_000_000), Admission::Duplicate { first_received_at_ms: 2_000_000 }));
    assert!(!keep(&duplicates, 2, 2_000_000));
    assert!(keep(&duplicates, 3, 2_000_000));
}

#[test]
fn half_a_million_entries_take_less_than_32_mib() {
    let duplicates = index(u64::MAX, 500_000);
    (0..600_000).for_each(|number| assert!(keep(&duplicates, number, number)));
    let index = duplicates.index();
    assert_eq!(index.table.len(), 500_000);
    let bytes = index.slots.capacity() * size_of::<Slot>() + index.table.allocation_size();
    assert!(bytes < 20 << 20, "{bytes}");
}

/// Places for every step of a run.
const PLENTY: usize = 200;

/// What a step does.
#[derive(Debug, Clone, Copy)]
enum Step {
    Admit(u64),
    /// The nth open ticket, modulo their number: synced, failed or dropped.
    Settle(usize, Option<bool>),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..12_u64).prop_map(Step::Admit),
        3 => (any::<usize>(), proptest::option::of(any::<bool>())).prop_map(|(nth, how)| Step::Settle(nth, how)),
        1 => (0..60_u64).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens in whatever order: a duplicate was kept before, within the window; a first copy has no open
    /// equal; and with places enough, everything kept within the window is a duplicate.
    #[test]
    fn it_answers_as_a_plain_list_would(steps in proptest::collection::vec(step(), 1..200), events_max in prop_oneof![1..20_usize, Just(PLENTY)]) {
        const WINDOW_MS: u64 = 100;
        let duplicates = index(WINDOW_MS, events_max);
        let mut now_ms = 1_000;
        let mut open: Vec<(u64, u64, Ticket)> = Vec::new();
        let mut kept: Vec<(u64, u64)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(ms) => now_ms += ms,
                Step::Settle(nth, how) if !open.is_empty() => {
                    let (number, at_ms, ticket) = open.remove(nth % open.len());
                    match how {
                        Some(true) => { ticket.settle(Ok(())); kept.push((number, at_ms)); }
                        Some(false) => ticket.settle(Err(AppendError::NoRoom)),
                        None => drop(ticket),
                    }
                }
                Step::Settle(..) => {}
                Step::Admit(number) => {
                    let fresh = |at_ms: u64| now_ms - at_ms <= WINDOW_MS;
                    let was_kept = kept.iter().any(|(other, at_ms)| *other == number && fresh(*at_ms));
                    let is_open = open.iter().any(|(other, at_ms, _)| *other == number && fresh(*at_ms));
                    match duplicates.admit(tag(number), now_ms) {
                        Admission::Duplicate { .. } => prop_assert!(was_kept),
                        Admission::Waiting { .. } => prop_assert!(is_open),
                        Admission::First(ticket) => {
                            prop_assert!(events_max < PLENTY || !(was_kept || is_open));
                            open.push((number, now_ms, ticket));
                        }
                    }
                    prop_assert!(duplicates.index().slots.len() <= events_max);
                }
            }
        }
    }
}
