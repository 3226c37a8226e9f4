use std::collections::VecDeque;

use bytes::Bytes;

use super::*;
use crate::event::Event;
use crate::journal::JournalId;
use crate::publisher::Delivery;
use crate::publisher::routing::tests::topics;

/// Takes records and answers as the script says: `None` never, `Some` this; where the script has ended, confirms.
#[derive(Default)]
struct Scripted {
    script: VecDeque<Option<DeliveryError>>,
    queued: Vec<u64>,
    full: usize,
    has_ended: bool,
    /// Given when it is replaced.
    late: Vec<Receipt>,
    state: Option<TopicState>,
}

const LARGE: DeliveryError = DeliveryError { action: Action::SetAside(TOO_LARGE), reason: "msg_size_too_large" };
const FATAL: DeliveryError = DeliveryError { action: Action::NewProducer, reason: "gapless_guarantee" };

impl Producer for Scripted {
    fn send(&mut self, delivery: &Delivery<'_>) -> Result<(), SendError> {
        if self.full > 0 {
            self.full -= 1;
            return Err(SendError::QueueFull);
        }
        self.queued.push(delivery.token);
        Ok(())
    }

    fn poll(&mut self, _timeout: Duration, receipts: &mut Vec<Receipt>) {
        let script = &mut self.script;
        receipts.extend(self.queued.drain(..).filter_map(|token| match script.pop_front() {
            None => Some(Receipt { token, outcome: Ok(()) }),
            Some(error) => error.map(|error| Receipt { token, outcome: Err(error) }),
        }));
    }

    fn probe(&mut self, _topic: &str) {}

    fn topic_state(&self, _topic: &str) -> TopicState {
        self.state.unwrap_or(TopicState::Known)
    }

    fn replace(&mut self, _alone: bool, receipts: &mut Vec<Receipt>) -> Result<(), DeliveryError> {
        (self.has_ended, self.script) = (false, VecDeque::new());
        receipts.append(&mut self.late);
        Ok(())
    }

    fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn is_up(&self) -> bool {
        true
    }

    fn error_reasons(&self) -> &'static [&'static str] {
        &[]
    }
}

fn again(producer: Scripted) -> Again {
    Again::new(Box::new(producer), Router::new(&topics()), Duration::from_millis(50))
}

fn record(position: u64) -> Record {
    let event = Event::unsigned("default", 5, Bytes::from_static(br#"{"event":"call_ended","call":{"call_id":"c"}}"#));
    let payload = Bytes::from(event.encode().concat());
    Record { position: Position(position), journal: JournalId([1; 16]), tag: [0; 16], received_at_ms: 5, payload }
}

const TARGET: Target<'_> = Target { topic: "retell.call_ended", replay: None };

#[test]
fn what_is_confirmed_is_counted_and_nothing_is_left() {
    let mut again = again(Scripted { full: 3, ..Scripted::default() });
    (1..=5).for_each(|position| again.send(&record(position), TARGET).unwrap());
    again.finish().unwrap();
    assert_eq!((again.confirmed(), again.first_unconfirmed()), (5, None));
}

#[test]
fn a_refusal_stops_everything_behind_it_and_tells_the_first_that_is_not_confirmed() {
    let script = [Some(FATAL), Some(LARGE)].into();
    let mut again = again(Scripted { script, ..Scripted::default() });
    let fatal = Refused::Ended("gapless_guarantee");
    assert_eq!(again.send(&record(7), TARGET), Err(fatal.clone()));
    assert_eq!(again.send(&record(8), TARGET), Err(fatal.clone()), "nothing goes behind it");
    assert_eq!((again.confirmed(), again.first_unconfirmed()), (0, Some(Position(7))));
    assert_eq!(again.renew(true).unwrap(), Renewed { refused: Some(fatal), too_large: Vec::new() });
    again.send(&record(7), TARGET).unwrap();
    assert_eq!((again.finish(), again.confirmed()), (Ok(()), 1));
}

#[test]
fn a_silent_kafka_ends_the_waiting() {
    let mut again = again(Scripted { script: [None].into(), ..Scripted::default() });
    again.send(&record(7), TARGET).unwrap();
    assert_eq!(again.finish(), Err(Refused::Silent(0)));
    assert_eq!(again.first_unconfirmed(), Some(Position(7)));
}

#[test]
fn nothing_is_sent_to_a_topic_that_is_missing_forbidden_or_not_known_in_time() {
    for (state, refused) in [
        (TopicState::Missing, Refused::Missing(TARGET.topic.into())),
        (TopicState::Forbidden, Refused::Forbidden(TARGET.topic.into())),
        (TopicState::Unknown, Refused::Silent(0)),
    ] {
        let mut again = again(Scripted { state: Some(state), ..Scripted::default() });
        assert_eq!(again.send(&record(7), TARGET), Err(refused));
        assert_eq!(again.first_unconfirmed(), None);
    }
}

#[test]
fn a_producer_that_ended_without_a_word_about_its_records_is_a_refusal() {
    let mut again = again(Scripted { script: [None].into(), has_ended: true, ..Scripted::default() });
    let sent = again.send(&record(7), TARGET);
    assert_eq!(sent.and_then(|()| again.finish()), Err(Refused::Ended("fatal")), "and blames no topic");
}

#[test]
fn a_verdict_that_comes_only_when_its_producer_is_replaced_is_told() {
    let late = vec![Receipt { token: 0, outcome: Err(LARGE) }];
    let mut again = again(Scripted { script: [None].into(), has_ended: true, late, ..Scripted::default() });
    let sent = again.send(&record(7), TARGET);
    assert_eq!(sent.and_then(|()| again.finish()), Err(Refused::Ended("fatal")));
    let large = Refused::TooLarge { topic: TARGET.topic.into(), position: Position(7) };
    let renewed = again.renew(true).unwrap();
    assert_eq!(renewed, Renewed { refused: Some(large), too_large: Vec::new() }, "it may have been its batch");
    again.send(&record(7), TARGET).unwrap();
    assert_eq!(again.finish(), Ok(()));
}

#[test]
fn what_was_confirmed_behind_a_failure_is_left_out_by_whoever_goes_back_and_counts_once() {
    let script = [None, None, None, None, Some(LARGE)].into();
    // The third one's receipt comes only when its producer is replaced.
    let late = vec![Receipt { token: 2, outcome: Ok(()) }];
    let mut again = again(Scripted { script, late, ..Scripted::default() });
    (1..=4).for_each(|position| again.send(&record(position), TARGET).unwrap());
    again.take(&Receipt { token: 3, outcome: Ok(()) });
    assert!(matches!(again.send(&record(5), TARGET), Err(Refused::TooLarge { .. })));
    assert_eq!(again.first_unconfirmed(), Some(Position(1)));
    again.renew(true).unwrap();
    let left_out = |again: &Again, position| again.has_confirmed(Position(position), TARGET.topic);
    assert_eq!([1, 2, 3, 4, 5].map(|position| left_out(&again, position)), [false, false, true, true, false]);
    assert!(!again.has_confirmed(Position(3), "another"));
    for position in (1..=5).filter(|position| !left_out(&again, *position)).collect::<Vec<u64>>() {
        again.send(&record(position), TARGET).unwrap();
    }
    assert_eq!((again.finish(), again.confirmed()), (Ok(()), 5));
}

#[test]
fn all_that_were_refused_alone_for_their_size_are_told_at_once() {
    let mut again = again(Scripted::default());
    again.renew(true).unwrap();
    let late = |token| Receipt { token, outcome: Err(LARGE) };
    again.producer =
        Box::new(Scripted { script: [None, None, None].into(), late: vec![late(0), late(2)], ..Scripted::default() });
    (1..=3).for_each(|position| again.send(&record(position), TARGET).unwrap());
    let topic: Arc<str> = TARGET.topic.into();
    let too_large = vec![(Position(1), Arc::clone(&topic)), (Position(3), topic)];
    assert_eq!(again.renew(true).unwrap().too_large, too_large);
}
