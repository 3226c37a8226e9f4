//! Sources: their keys, the addresses they take, and what `dev` takes unsigned.

use super::*;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

#[test]
fn each_source_has_its_path_and_its_keys() {
    let bench = Bench::with(|options| {
        let mut other = source("other", "/hooks/other");
        other.keys = vec![ApiKey::new("first"), ApiKey::new("second")];
        options.sources.push(other);
    });
    let body = event("keys");
    let signed_with = |key: &str| {
        let signature = signature::sign(&ApiKey::new(key), body.as_bytes(), now_ms());
        request("POST /hooks/other", &[&format!("x-retell-signature: {signature}")], &body)
    };
    for (key, status) in [("first", 204), ("second", 204), (KEY, 401)] {
        assert_eq!(bench.ask(signed_with(key)).status, status, "{key}");
    }
    assert_eq!(bench.metric(r#"events_refused_total{reason="wrong",source="other"}"#), "1");
}

#[test]
fn an_address_that_is_not_allowed_is_answered_403_without_reading_the_body() {
    let bench = Bench::with(|options| options.sources[0].allow = vec![net("100.20.5.228/32")]);
    let mut client = bench.connect();
    client.send("POST /webhook HTTP/1.1\r\nhost: a\r\ncontent-length: 5000000\r\n\r\n");
    assert_eq!(client.answer().status, 403);
    client.finish();
    assert_eq!(bench.ask(signed_to("/nowhere", "")).status, 403);
    assert_eq!(bench.refused("address"), "1");
    assert_eq!(bench.ask("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").status, 200);
}

#[test]
fn one_source_may_be_closed_to_an_address_that_another_takes() {
    let bench = Bench::with(|options| {
        let mut closed = source("closed", "/closed");
        closed.allow = vec![net("100.20.5.228/32")];
        options.sources.push(closed);
    });
    assert_eq!(bench.ask(signed_to("/closed", &event("a"))).status, 403);
    assert_eq!(bench.ask(signed_to("/webhook", &event("a"))).status, 204);
}

#[test]
fn a_trusted_proxy_speaks_for_its_client_and_nobody_else_does() {
    let with_proxies = |proxies: Vec<IpNet>| {
        Bench::with(|options| {
            options.sources[0].allow = vec![net("100.20.5.228/32")];
            options.trusted_proxies = proxies;
        })
    };
    let ask = |bench: &Bench, forwarded: &str| {
        let body = event(forwarded);
        let headers = [format!("x-retell-signature: {}", signature_of(&body)), format!("x-forwarded-for: {forwarded}")];
        bench.ask(request("POST /webhook", &[&headers[0], &headers[1]], &body)).status
    };
    let bench = with_proxies(vec![net("127.0.0.0/8")]);
    assert_eq!(ask(&bench, "100.20.5.228"), 204);
    assert_eq!(ask(&bench, "100.20.5.228, 9.9.9.9"), 403);
    assert_eq!(ask(&bench, "9.9.9.9, 100.20.5.228, 127.0.0.3"), 204);
    assert_eq!(ask(&bench, "not an address"), 403);
    assert_eq!(ask(&with_proxies(vec![net("10.0.0.0/8")]), "100.20.5.228"), 403);
}

#[test]
fn an_unsigned_event_is_taken_in_dev_alone_and_from_this_machine_alone() {
    let bench = Bench::with(|options| options.sources[0].allow_unsigned = true);
    let ask = |bench: &Bench, headers: &str| {
        let body = event(headers);
        let length = body.len();
        bench.ask(format!("POST /webhook HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n{body}")).status
    };
    assert_eq!(ask(&bench, "host: localhost:8080\r\n"), 204);
    assert_eq!(ask(&bench, "host: 127.0.0.1\r\n"), 204);
    assert_eq!(ask(&bench, "host: bridge.example\r\n"), 401);
    assert_eq!(ask(&bench, "host: localhost\r\nx-forwarded-for: 127.0.0.1\r\n"), 401);
    assert_eq!(ask(&bench, "host: localhost\r\nx-retell-signature: v=1,d=0\r\n"), 401);
    assert_eq!(ask(&Bench::new(), "host: localhost\r\n"), 401);
    assert_eq!(bench.journal.bodies().len(), 2);
}

#[test]
fn keys_that_change_in_their_file_count_within_seconds_and_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "one\n").unwrap();
    let bench = Bench::with(|options| {
        options.sources[0].keys = Vec::new();
        options.sources[0].keys_file = Some(path.clone());
    });
    let post = |key: &str, nth: usize| {
        let body = event(&format!("{key} {nth}"));
        let signature = signature::sign(&ApiKey::new(key), body.as_bytes(), now_ms());
        bench.ask(request("POST /webhook", &[&format!("x-retell-signature: {signature}")], &body)).status
    };
    assert_eq!((post("one", 0), post("two", 0)), (204, 401));
    assert_eq!(bench.metric("config_last_reload_successful"), "1");
    std::fs::write(&path, "").unwrap();
    eventually("the alarm", || bench.metric("config_last_reload_successful") == "0");
    assert_eq!(post("one", 1), 204);
    let next = folder.path().join("next");
    std::fs::write(&next, "two\n").unwrap();
    std::fs::rename(&next, &path).unwrap();
    eventually("the new key", || post("two", 2) == 204);
    assert_eq!(post("one", 3), 401);
    eventually("the end of the alarm", || bench.metric("config_last_reload_successful") == "1");
    let gone = format!(r#"key="{}""#, ApiKey::new("one").fingerprint());
    assert!(!bench.metrics.scrape().contains(&gone));
}

#[test]
fn a_key_file_that_holds_no_key_at_the_start_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    std::fs::write(&path, "\n").unwrap();
    let mut options = options();
    options.sources[0].keys_file = Some(path);
    let keep: Keep = Arc::new(|_| Err(AppendError::Closed));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (metrics, health) = (Arc::new(Metrics::new()), Arc::new(Health::default()));
    let watch = Watch::start(metrics.clone()).unwrap();
    let outcome = Intake::start(options, listener, keep, [].into_iter(), metrics, health, &watch);
    let error = outcome.err().unwrap().to_string();
    assert!(error.starts_with("key file ") && error.ends_with("of source default holds no key"), "{error}");
}
