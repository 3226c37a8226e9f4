//! Every row of the answers' table.

use super::*;

#[test]
fn a_kept_event_is_answered_204_with_its_id_and_an_empty_body() {
    let bench = Bench::new();
    let body = event("kept");
    let answer = bench.post(&body);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.body, b"");
    let id = answer.header("x-event-id").unwrap();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert_eq!(bench.journal.bodies(), [body.as_bytes()]);
    assert_eq!(bench.metric(r#"events_received_total{source="default",type="call_ended"}"#), "1");
    assert_eq!(bench.metric(r#"answer_duration_seconds_count{source="default"}"#), "1");
    let key = ApiKey::new(KEY);
    let verified = format!(r#"key_last_verified_timestamp_seconds{{key="{}",source="default"}}"#, key.fingerprint());
    assert_ne!(bench.metric(&verified), "0");
}

#[test]
fn the_answer_waits_for_the_sync() {
    let bench = Bench::new();
    bench.journal.set(Mode::Hold);
    let mut client = bench.connect();
    client.send(signed(&event("waits")));
    bench.journal.wait_for_held(1);
    std::thread::sleep(Duration::from_millis(100));
    assert!(client.is_open());
    bench.journal.release(Ok(Position(1)));
    assert_eq!(client.answer().status, 204);
}

#[test]
fn the_inbound_events_are_answered_with_the_configured_json() {
    let bench = Bench::new();
    let answer = bench.post(r#"{"event":"call_inbound","call_inbound":{"from_number":"+15550100"}}"#);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body, br#"{"call_inbound":{"override_agent_id":"a"}}"#);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(answer.header("x-event-id").is_some());
    assert_eq!(bench.post(r#"{"event":"chat_inbound","chat_inbound":{}}"#).body, br#"{"chat_inbound":{}}"#);
}

#[test]
fn whatever_was_signed_is_kept_readable_or_not() {
    let bench = Bench::new();
    for body in ["", "not json", "\u{0}\u{1}", r#"{"event":"brand_new"}"#, r#"{"event":"retell_bridge_test"}"#, "[[[["]
    {
        assert_eq!(bench.post(body).status, 204, "{body:?}");
    }
    assert_eq!(bench.metric(r#"events_received_total{source="default",type="other"}"#), "5");
    assert_eq!(bench.metric(r#"events_received_total{source="default",type="retell_bridge_test"}"#), "1");
}

#[test]
fn a_signature_that_does_not_hold_is_answered_401_and_does_not_say_why() {
    let bench = Bench::new();
    let body = event("refused");
    let stale = signature::sign(&ApiKey::new(KEY), body.as_bytes(), now_ms() - 301_000);
    let wrong = signature::sign(&ApiKey::new("another"), body.as_bytes(), now_ms());
    let twice = format!("{}\r\nx-retell-signature: {}", signature_of(&body), signature_of(&body));
    let mut heads = Vec::new();
    for (reason, header) in [
        ("missing", "x-other: 1".to_owned()),
        ("malformed", "x-retell-signature: v=1,d=2".to_owned()),
        ("malformed", format!("x-retell-signature: {twice}")),
        ("stale", format!("x-retell-signature: {stale}")),
        ("wrong", format!("x-retell-signature: {wrong}")),
    ] {
        let before: u64 = bench.refused(reason).parse().unwrap();
        let answer = bench.ask(request("POST /webhook", &[&header], &body));
        assert_eq!((answer.status, &answer.body[..]), (401, &b""[..]), "{reason}");
        assert_eq!(bench.refused(reason), (before + 1).to_string(), "{reason}");
        let told = answer.head.lines().filter(|line| !line.starts_with("date")).collect::<Vec<_>>().join("\n");
        heads.push(told);
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:#?}");
    assert!(bench.journal.bodies().is_empty());
}

#[test]
fn a_path_that_nobody_has_is_answered_404_and_a_query_string_does_not_count() {
    let bench = Bench::new();
    let body = event("path");
    for (path, status) in [("/", 404), ("/webhook/x", 404), ("/webhook/", 204), ("/webhook?a=%7B%7Bname%7D%7D", 204)] {
        assert_eq!(bench.ask(signed_to(path, &body)).status, status, "{path}");
    }
    assert_eq!(bench.metric(r#"events_refused_total{reason="path",source=""}"#), "2");
}

#[test]
fn a_method_other_than_post_is_answered_405_with_allow() {
    let bench = Bench::new();
    for method in ["GET", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"] {
        let answer = bench.ask(format!("{method} /webhook HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    let answer = bench.ask(request("POST /readyz", &[], ""));
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn a_body_over_the_limit_is_answered_413_by_its_promise_or_by_its_arrival() {
    let bench = Bench::with(|options| options.body_max_bytes = 1_000);
    let mut client = bench.connect();
    client.send("POST /webhook HTTP/1.1\r\nhost: a\r\ncontent-length: 1001\r\n\r\n");
    assert_eq!(client.answer().status, 413);
    client.finish();
    let mut client = bench.connect();
    client.send("POST /webhook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send(format!("3e8\r\n{}\r\n", "x".repeat(1_000)));
    client.send("1\r\nx\r\n");
    assert_eq!(client.answer().status, 413);
    assert_eq!(bench.refused("too_large"), "2");
    assert_eq!(bench.post(&"x".repeat(1_000)).status, 204);
}

#[test]
fn what_the_journal_does_not_keep_is_answered_503_and_can_be_sent_again() {
    let bench = Bench::new();
    let body = event("journal");
    for (mode, reason) in [
        (Mode::Refuse(AppendError::NoRoom), "no_room"),
        (Mode::Refuse(AppendError::Poisoned), "journal"),
        (Mode::Refuse(AppendError::Closed), "stopping"),
        (Mode::Refuse(AppendError::TooLarge), "journal"),
        (Mode::Fail(AppendError::Poisoned), "journal"),
    ] {
        bench.journal.set(mode);
        let before: u64 = bench.refused(reason).parse().unwrap();
        let answer = bench.post(&body);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(bench.refused(reason), (before + 1).to_string());
    }
    bench.journal.set(Mode::Sync);
    assert_eq!(bench.post(&body).status, 204);
    assert_eq!(bench.metric(r#"events_duplicate_total{source="default"}"#), "0");
}

#[test]
fn an_answer_that_would_come_too_late_is_a_503_and_the_record_may_still_be_kept() {
    let bench = Bench::with(|options| options.answer_within = Duration::from_millis(300));
    bench.journal.set(Mode::Hold);
    let body = event("late");
    let mut client = bench.connect();
    client.send(signed(&body));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(bench.refused("late"), "1");
    bench.journal.release(Ok(Position(1)));
    eventually("the late record", || {
        bench.metric(r#"events_received_total{source="default",type="call_ended"}"#) == "1"
    });
    // The connection lives on, and the retry on it is a duplicate.
    client.send(signed(&body));
    assert_eq!(client.answer().status, 204);
    assert_eq!(bench.journal.bodies().len(), 1);
}

#[test]
fn the_health_path_says_whether_an_event_could_be_kept() {
    let bench = Bench::new();
    for method in ["GET", "HEAD"] {
        assert_eq!(bench.ask(format!("{method} /readyz HTTP/1.1\r\nhost: a\r\n\r\n")).status, 200);
    }
    bench.health.set_journal_full(true);
    let answer = bench.ask("GET /readyz?probe=1 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((answer.status, &answer.body[..]), (503, &b""[..]));
}

#[test]
fn the_observer_sees_what_was_answered() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let bench = Bench::with(|options| {
        let seen = seen.clone();
        options.observer = Some(Observer::new(move |what| {
            let line = match what {
                Seen::Kept { source, kind, .. } => format!("kept {source} {}", kind.name()),
                Seen::Duplicate { first_seen_ago, .. } => format!("duplicate {}", first_seen_ago.as_secs() < 60),
                Seen::Refused { status, reason, body, .. } => format!("{status} {reason} {}", body.is_some()),
            };
            seen.lock().unwrap().push(line);
        }));
    });
    let body = event("seen");
    bench.post(&body);
    bench.post(&body);
    // A body is shown only where it was typed at this machine.
    bench.ask(request("POST /webhook", &[], &body));
    bench.ask(format!("POST /webhook HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    bench.ask(request("POST /nowhere", &[], &body));
    assert_eq!(
        *seen.lock().unwrap(),
        ["kept default call_ended", "duplicate true", "401 missing false", "401 missing true", "404 path false"]
    );
}
