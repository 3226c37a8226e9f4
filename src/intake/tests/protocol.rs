//! How HTTP may be spoken here, and how not.

use super::*;

#[test]
fn a_connection_serves_one_request_after_another() {
    let bench = Bench::new();
    let mut client = bench.connect();
    for nth in 0..5 {
        client.send(signed(&event(&format!("keep-alive {nth}"))));
        assert_eq!(client.answer().status, 204);
    }
    assert_eq!(bench.journal.bodies().len(), 5);
    assert_eq!(bench.metric("connections"), "1");
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let bench = Bench::new();
    let mut client = bench.connect();
    let mut both = signed(&event("pipelined"));
    both.extend(request("POST /nowhere", &[], ""));
    both.extend(signed(&event("pipelined too")));
    client.send(both);
    let statuses: Vec<u16> = (0..3).map(|_| client.answer().status).collect();
    assert_eq!(statuses, [204, 404, 204]);
}

#[test]
fn a_body_may_come_in_chunks_and_in_pieces() {
    let bench = Bench::new();
    let body = format!("{}{}", event("chunks"), " ".repeat(100_000));
    let head = format!(
        "POST /webhook HTTP/1.1\r\nhost: a\r\nx-retell-signature: {}\r\ntransfer-encoding: chunked\r\n\r\n",
        signature_of(&body)
    );
    let mut client = bench.connect();
    client.send(head);
    for piece in body.as_bytes().chunks(9_999) {
        client.send(format!("{:x}\r\n", piece.len()));
        client.send(piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.answer().status, 204);
    assert_eq!(bench.journal.bodies(), [body.as_bytes()]);
}

#[test]
fn a_large_body_arrives_byte_for_byte() {
    let bench = Bench::new();
    let noise: String =
        (0..3_000_000_u32).map(|nth| char::from(b' ' + (nth.wrapping_mul(2_654_435_761) >> 26) as u8)).collect();
    assert_eq!(bench.post(&noise).status, 204);
    assert_eq!(bench.journal.bodies(), [noise.as_bytes()]);
}

#[test]
fn http_1_0_is_served_and_closed() {
    let bench = Bench::new();
    let body = event("1.0");
    let mut client = bench.connect();
    let signature = signature_of(&body);
    client.send(format!(
        "POST /webhook HTTP/1.0\r\nx-retell-signature: {signature}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.answer().status, 204);
    client.wait_for_close();
}

#[test]
fn a_sender_that_asks_first_is_told_to_continue() {
    let bench = Bench::new();
    let body = event("expect");
    let mut client = bench.connect();
    client.send(format!(
        "POST /webhook HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nx-retell-signature: {}\r\ncontent-length: {}\r\n\r\n",
        signature_of(&body),
        body.len()
    ));
    assert_eq!(client.answer().status, 100);
    client.send(&body);
    assert_eq!(client.answer().status, 204);
}

#[test]
fn content_type_and_content_encoding_do_not_matter() {
    let bench = Bench::new();
    let body = "\u{1f}\u{8b} not really gzip";
    let signature = format!("x-retell-signature: {}", signature_of(body));
    for headers in [
        &["content-type: text/plain", "content-encoding: gzip"][..],
        &["content-type: application/x-www-form-urlencoded; charset=utf-16"],
        &["content-type: \u{7f}"],
    ] {
        let mut headers = headers.to_vec();
        headers.push(&signature);
        let answer = bench.ask(request("POST /webhook", &headers, body));
        assert!(answer.status == 204 || (headers[0].contains('\u{7f}') && answer.status == 400), "{}", answer.status);
    }
    assert!(bench.journal.bodies().iter().all(|kept| kept == body.as_bytes()));
}

#[test]
fn what_two_servers_could_read_in_two_ways_is_refused_and_ends_the_connection() {
    let bench = Bench::new();
    let inner = String::from_utf8(signed(&event("smuggled"))).unwrap();
    for (headers, body) in [
        ("content-length: 0\r\ntransfer-encoding: chunked", format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked\r\ncontent-length: 4", format!("0\r\n\r\n{inner}")),
        ("content-length: 0\r\ncontent-length: 5", inner.clone()),
        ("content-length: 0, 0", inner.clone()),
        ("content-length: +0", inner.clone()),
        ("content-length: -1", inner.clone()),
        ("content-length: 0x0", inner.clone()),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity", format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: xchunked", format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: gzip, chunked", format!("0\r\n\r\n{inner}")),
        ("transfer-encoding : chunked", format!("0\r\n\r\n{inner}")),
        ("transfer-encoding: chunked", format!("zz\r\n{inner}")),
        ("host: b", inner.clone()),
        ("content-length: 0\r\nupgrade: websocket\r\nconnection: upgrade", inner.clone()),
    ] {
        let mut client = bench.connect();
        client.send(format!("POST /webhook HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n{body}"));
        let answer = client.answer();
        assert_eq!(answer.status, 400, "{headers}");
        client.finish();
    }
    assert!(bench.journal.bodies().is_empty());
}

#[test]
fn a_head_that_never_ends_is_refused_at_32_kib() {
    let bench = Bench::new();
    let mut client = bench.connect();
    client.send("POST /webhook HTTP/1.1\r\nhost: a\r\n");
    let filler = format!("x-filler: {}\r\n", "x".repeat(1_000));
    let mut sent_bytes = 0;
    while sent_bytes < 1 << 20 && client.send(&filler) {
        sent_bytes += filler.len();
    }
    if let Some(answer) = client.try_answer() {
        assert_eq!(answer.status, 431);
        client.wait_for_close();
    }
    assert_eq!(bench.metric(r#"events_refused_total{reason="http",source=""}"#), "1");
}

#[test]
fn a_large_body_right_behind_a_small_head_is_no_large_head() {
    let bench = Bench::new();
    for _ in 0..20 {
        assert_eq!(bench.post(&"y".repeat(500_000)).status, 204);
    }
}

#[test]
fn more_headers_than_anyone_sends_are_refused() {
    let bench = Bench::new();
    let headers: String = (0..200).map(|nth| format!("x-{nth}: 1\r\n")).collect();
    assert_eq!(bench.ask(format!("POST /webhook HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).status, 431);
}
