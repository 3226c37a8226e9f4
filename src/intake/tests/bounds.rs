//! What the bounds do: who loses, with which answer, and that nobody honest does.

use super::*;

/// A head that promises a body, and some bytes of it.
fn promise(length: usize, first: usize) -> Vec<u8> {
    let mut text = format!("POST /webhook HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n").into_bytes();
    text.resize(text.len() + first, b'x');
    text
}

#[test]
fn a_body_slower_than_64_kib_a_second_is_answered_408_after_two_seconds() {
    let bench = Bench::new();
    let start = Instant::now();
    let mut client = bench.connect();
    client.send(promise(1_000_000, 50_000));
    let answer = client.answer();
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    assert!(start.elapsed() >= Duration::from_secs(2));
    assert_eq!(bench.refused("too_slow"), "1");
    client.finish();
}

#[test]
fn a_body_that_is_not_whole_at_the_deadline_is_late() {
    let bench = Bench::with(|options| options.answer_within = Duration::from_millis(500));
    let mut client = bench.connect();
    client.send(promise(1_000_000, 900_000));
    assert_eq!(client.answer().status, 503);
    assert_eq!(bench.refused("late"), "1");
}

#[test]
fn a_head_that_is_not_whole_at_the_deadline_is_answered_408_on_any_request_of_a_connection() {
    let bench = Bench::with(|options| options.answer_within = Duration::from_millis(300));
    let mut fresh = bench.connect();
    fresh.send("POST /webhook HT");
    let mut used = bench.connect();
    used.send(signed(&event("slow head")));
    assert_eq!(used.answer().status, 204);
    used.send("POST /webhook HT");
    for client in [&mut fresh, &mut used] {
        assert_eq!(client.answer().status, 408);
        client.wait_for_close();
    }
    assert_eq!(bench.metric(r#"events_refused_total{reason="too_slow",source=""}"#), "2");
    assert_eq!(bench.metric("connections"), "0");
}

#[test]
fn the_deadline_of_a_second_request_counts_from_its_own_first_byte() {
    let bench = Bench::with(|options| options.answer_within = Duration::from_millis(400));
    let mut client = bench.connect();
    for nth in 0..4 {
        client.send(signed(&event(&format!("own deadline {nth}"))));
        assert_eq!(client.answer().status, 204);
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn two_hundred_slow_connections_do_not_keep_one_honest_event_out() {
    let bench = Bench::with(|options| options.connections_max = 40);
    let mut slow: Vec<Client> = Vec::new();
    for nth in 0..200 {
        let mut client = bench.connect();
        match nth % 3 {
            0 => client.send("POST /webhook HT"),
            1 => client.send(promise(1_000_000, 10)),
            _ => true,
        };
        slow.push(client);
        if nth % 20 == 19 {
            std::thread::sleep(Duration::from_millis(20));
            assert_eq!(bench.post(&event(&format!("honest {nth}"))).status, 204);
        }
    }
    let open: usize = bench.metric("connections").parse().unwrap();
    assert!(open <= 40 + 128, "{open}");
    assert_eq!(bench.journal.bodies().len(), 10);
}

#[test]
fn idle_connections_make_room_and_the_newest_stays() {
    let bench = Bench::with(|options| options.connections_max = 10);
    let mut clients: Vec<Client> = Vec::new();
    for nth in 0..20 {
        let mut client = bench.connect();
        client.send(signed(&event(&format!("idle {nth}"))));
        assert_eq!(client.answer().status, 204);
        clients.push(client);
    }
    for client in &mut clients[..10] {
        client.wait_for_close();
    }
    assert!(clients[19].is_open());
}

#[test]
fn where_every_connection_waits_for_its_sync_the_newcomer_gets_503() {
    let bench = Bench::with(|options| options.connections_max = 5);
    bench.journal.set(Mode::Hold);
    let mut waiting: Vec<Client> = (0..5).map(|_| bench.connect()).collect();
    for (nth, client) in waiting.iter_mut().enumerate() {
        client.send(signed(&event(&format!("waiting {nth}"))));
    }
    bench.journal.wait_for_held(5);
    let mut newcomer = bench.connect();
    newcomer.send(signed(&event("newcomer")));
    let answer = newcomer.answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    newcomer.finish();
    assert_eq!(bench.refused("no_room"), "1");
    bench.journal.release(Ok(Position(1)));
    assert!(waiting.iter_mut().all(|client| client.answer().status == 204));
    bench.journal.set(Mode::Sync);
    assert_eq!(bench.post(&event("newcomer")).status, 204);
}

#[test]
fn where_bodies_fill_the_room_the_slowest_loses_and_the_newcomer_is_kept() {
    let bench = Bench::with(|options| {
        options.in_flight_max_bytes = 1 << 20;
        options.body_max_bytes = 1 << 20;
    });
    let mut slow = bench.connect();
    slow.send(promise(900_000, 800_000));
    eventually("the slow body", || in_flight(&bench) >= 800_000);
    let big = format!("{}{}", event("newcomer"), " ".repeat(900_000));
    assert_eq!(bench.post(&big).status, 204);
    assert_eq!(slow.answer().status, 408);
    assert_eq!(bench.refused("too_slow"), "1");
    eventually("all bytes to be given back", || in_flight(&bench) == 0);
}

#[test]
fn large_bodies_that_fill_the_room_again_and_again_keep_no_honest_event_out() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let bench = Bench::with(|options| options.in_flight_max_bytes = 8 << 20);
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let mut client = bench.connect();
                    if client.send(promise(2 << 20, 1 << 20)) {
                        // Until it has lost, or for a while.
                        eventually("a verdict", || !client.is_open() || over.load(Ordering::Relaxed));
                    }
                }
            });
        }
        eventually("a full room", || in_flight(&bench) > 6 << 20);
        let padding = " ".repeat(8_000);
        let mut statuses = Vec::new();
        for nth in 0..100 {
            statuses.push(bench.post(&format!("{}{padding}", event(&format!("among large ones {nth}")))).status);
            assert!(in_flight(&bench) <= 8 << 20);
        }
        over.store(true, Ordering::Relaxed);
        assert_eq!(statuses, [204; 100]);
    });
}

#[test]
fn where_whole_bodies_fill_the_room_the_newcomer_gets_503_until_they_are_synced() {
    let bench = Bench::with(|options| {
        options.in_flight_max_bytes = 1 << 20;
        options.body_max_bytes = 1 << 20;
        options.answer_within = Duration::from_millis(500);
    });
    bench.journal.set(Mode::Hold);
    let big = |name: &str| signed(&format!("{}{}", event(name), " ".repeat(900_000)));
    let mut first = bench.connect();
    first.send(big("first"));
    bench.journal.wait_for_held(1);
    assert_eq!(bench.ask(big("second")).status, 503);
    assert_eq!(bench.refused("no_room"), "1");
    // The first one's answer was due long before its sync: its bytes count on, because the journal holds them.
    assert_eq!(first.answer().status, 503);
    assert_eq!(bench.ask(big("second")).status, 503);
    bench.journal.set(Mode::Sync);
    bench.journal.release(Ok(Position(1)));
    eventually("room", || bench.ask(big("second")).status == 204);
    eventually("all bytes to be given back", || in_flight(&bench) == 0);
}

#[test]
fn a_promise_takes_no_room() {
    let bench = Bench::with(|options| options.in_flight_max_bytes = 8 << 20);
    let mut greedy: Vec<Client> = (0..50).map(|_| bench.connect()).collect();
    greedy.iter_mut().for_each(|client| assert!(client.send(promise(8 << 20, 1_000))));
    eventually("the first bytes of all", || in_flight(&bench) >= 50 * 1_000);
    assert!(in_flight(&bench) <= 50 * 16 * 1024);
    assert_eq!(bench.post(&event("modest")).status, 204);
    assert!(greedy.iter_mut().all(Client::is_open));
}

#[test]
fn the_rest_of_a_refused_body_is_not_read_for_ever() {
    let bench = Bench::with(|options| options.body_max_bytes = 10);
    let mut client = bench.connect();
    client.send("POST /webhook HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    let chunk = format!("400\r\n{}\r\n", "x".repeat(1_024));
    let start = Instant::now();
    while client.send(&chunk) {
        std::thread::sleep(Duration::from_millis(5));
        assert!(start.elapsed() < PATIENCE, "still read");
    }
    assert_eq!(bench.refused("too_large"), "1");
}

#[test]
fn a_flood_of_bad_signatures_is_counted_and_leaves_nothing_behind() {
    let bench = Bench::new();
    let mut client = bench.connect();
    for _ in 0..500 {
        client.send(request("POST /webhook", &["x-retell-signature: v=1,d=0"], "{}"));
        assert_eq!(client.answer().status, 401);
    }
    assert_eq!(bench.refused("malformed"), "500");
    assert_eq!(in_flight(&bench), 0);
    assert!(bench.journal.bodies().is_empty());
}

fn in_flight(bench: &Bench) -> usize {
    bench.intake.as_ref().unwrap().server.in_flight_bytes()
}
