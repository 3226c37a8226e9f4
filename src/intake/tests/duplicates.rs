//! Who is answered as a duplicate, when, and who is not.

use super::*;

fn transfer() -> String {
    r#"{"event":"transfer_started","call":{"call_id":"c"}}"#.to_owned()
}

#[test]
fn an_equal_event_is_answered_as_the_first_was_and_not_kept_again() {
    let bench = Bench::new();
    let first = bench.post(&event("again"));
    let second = bench.post(&event("again"));
    assert_eq!(second.status, 204);
    assert_eq!(first.header("x-event-id"), second.header("x-event-id"));
    assert_eq!(bench.journal.bodies().len(), 1);
    assert_eq!(bench.metric(r#"events_duplicate_total{source="default"}"#), "1");
    assert_eq!(bench.metric(r#"events_received_total{source="default",type="call_ended"}"#), "1");
}

#[test]
fn equal_bytes_with_another_signed_clock_are_another_transfer_and_the_same_call() {
    let bench = Bench::new();
    let signed_at = |body: &str, v: u64| {
        let signature = signature::sign(&ApiKey::new(KEY), body.as_bytes(), v);
        request("POST /webhook", &[&format!("x-retell-signature: {signature}")], body)
    };
    let now_ms = now_ms();
    for (body, kept) in [(transfer(), 2), (event("clock"), 1)] {
        let before = bench.journal.bodies().len();
        for v in [now_ms, now_ms - 1, now_ms] {
            assert_eq!(bench.ask(signed_at(&body, v)).status, 204);
        }
        assert_eq!(bench.journal.bodies().len() - before, kept, "{body}");
    }
}

#[test]
fn of_many_equal_requests_at_once_one_is_kept_and_none_is_answered_before_its_sync() {
    let bench = Bench::new();
    bench.journal.set(Mode::Hold);
    let mut clients: Vec<Client> = (0..50).map(|_| bench.connect()).collect();
    clients.iter_mut().for_each(|client| assert!(client.send(signed(&event("race")))));
    bench.journal.wait_for_held(1);
    std::thread::sleep(Duration::from_millis(200));
    assert!(clients.iter_mut().all(Client::is_open));
    bench.journal.release(Ok(Position(1)));
    assert!(clients.iter_mut().all(|client| client.answer().status == 204));
    assert_eq!(bench.journal.bodies().len(), 1);
    assert_eq!(bench.metric(r#"events_duplicate_total{source="default"}"#), "49");
}

#[test]
fn those_that_wait_share_the_fate_of_the_first_and_its_retry_is_kept() {
    let bench = Bench::new();
    bench.journal.set(Mode::Hold);
    let mut clients: Vec<Client> = (0..5).map(|_| bench.connect()).collect();
    clients.iter_mut().for_each(|client| assert!(client.send(signed(&event("fate")))));
    bench.journal.wait_for_held(1);
    std::thread::sleep(Duration::from_millis(200));
    bench.journal.release(Err(AppendError::Poisoned));
    assert!(clients.iter_mut().all(|client| client.answer().status == 503));
    bench.journal.set(Mode::Sync);
    assert_eq!(bench.post(&event("fate")).status, 204);
    assert_eq!(bench.journal.bodies().len(), 2);
}

#[test]
fn a_first_copy_abandoned_before_its_sync_is_kept_and_its_retry_is_a_duplicate() {
    let bench = Bench::new();
    bench.journal.set(Mode::Hold);
    let mut client = bench.connect();
    client.send(signed(&event("abandoned")));
    bench.journal.wait_for_held(1);
    client.reset();
    eventually("the connection to be gone", || bench.metric("connections") == "0");
    let mut retry = bench.connect();
    retry.send(signed(&event("abandoned")));
    std::thread::sleep(Duration::from_millis(200));
    assert!(retry.is_open(), "answered before the first copy was synced");
    bench.journal.release(Ok(Position(1)));
    assert_eq!(retry.answer().status, 204);
    assert_eq!(bench.journal.bodies().len(), 1);
    assert_eq!(bench.metric(r#"events_received_total{source="default",type="call_ended"}"#), "1");
}

#[test]
fn a_first_copy_abandoned_and_failed_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.journal.set(Mode::Hold);
    let mut client = bench.connect();
    client.send(signed(&event("failed")));
    bench.journal.wait_for_held(1);
    client.reset();
    bench.journal.release(Err(AppendError::NoRoom));
    bench.journal.set(Mode::Sync);
    eventually("the retry to be kept", || {
        assert!(matches!(bench.post(&event("failed")).status, 204 | 503));
        bench.journal.bodies().len() == 2
    });
}

#[test]
fn a_first_copy_whose_body_never_ended_leaves_nothing_behind() {
    let bench = Bench::new();
    let whole = signed(&event("cut"));
    let mut client = bench.connect();
    client.send(&whole[..whole.len() - 1]);
    client.reset();
    assert_eq!(bench.ask(&whole).status, 204);
    assert_eq!(bench.journal.bodies().len(), 1);
}

#[test]
fn what_the_journal_holds_at_the_start_is_a_duplicate() {
    let mut id = Vec::new();
    {
        let bench = Bench::new();
        let answer = bench.post(&event("restart"));
        let text = answer.header("x-event-id").unwrap();
        id.extend((0..16).map(|byte| u8::from_str_radix(&text[byte * 2..byte * 2 + 2], 16).unwrap()));
    }
    let tag: Tag = id.try_into().unwrap();
    let bench = Bench::recovered(vec![(tag, now_ms() - 60_000)], |_| {});
    assert_eq!(bench.post(&event("restart")).status, 204);
    assert!(bench.journal.bodies().is_empty());
    let bench = Bench::recovered(vec![(tag, now_ms() - 3_700_000)], |_| {});
    assert_eq!(bench.post(&event("restart")).status, 204);
    assert_eq!(bench.journal.bodies().len(), 1);
}

#[test]
fn the_same_bytes_for_two_sources_are_two_events() {
    let bench = Bench::with(|options| options.sources.push(source("other", "/other")));
    assert_eq!(bench.ask(signed_to("/webhook", &event("two"))).status, 204);
    assert_eq!(bench.ask(signed_to("/other", &event("two"))).status, 204);
    assert_eq!(bench.journal.bodies().len(), 2);
}
