//! How the intake stops.

use super::*;

fn stop(bench: &mut Bench) -> std::thread::JoinHandle<()> {
    let intake = bench.intake.take().unwrap();
    let handle = bench.runtime.handle().clone();
    std::thread::spawn(move || handle.block_on(intake.stop()))
}

#[test]
fn what_is_under_way_is_answered_and_everything_else_is_closed() {
    let mut bench = Bench::new();
    bench.journal.set(Mode::Hold);
    let mut waiting = bench.connect();
    waiting.send(signed(&event("under way")));
    bench.journal.wait_for_held(1);
    let mut idle = bench.connect();
    let mut half = bench.connect();
    let late = signed(&event("half there"));
    half.send(&late[..9]);
    eventually("three connections", || bench.metric("connections") == "3");
    std::thread::sleep(Duration::from_millis(50));
    let stopping = stop(&mut bench);
    idle.wait_for_close();
    assert!(TcpStream::connect(bench.address).is_err(), "a newcomer is refused, and not left waiting for the end");
    half.send(&late[9..]);
    bench.journal.wait_for_held(2);
    assert!(!stopping.is_finished());
    bench.journal.release(Ok(Position(1)));
    for client in [&mut waiting, &mut half] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.header("connection")), (204, Some("close")));
    }
    stopping.join().unwrap();
    assert_eq!(bench.refused("stopping"), "0");
}

#[test]
fn who_has_just_connected_is_answered() {
    let mut bench = Bench::new();
    let mut fresh = bench.connect();
    let stopping = stop(&mut bench);
    eventually("the door is shut", || TcpStream::connect(bench.address).is_err());
    fresh.send(signed(&event("fresh")));
    let answer = fresh.answer();
    assert_eq!((answer.status, answer.header("connection")), (204, Some("close")));
    stopping.join().unwrap();
}

#[test]
fn a_request_that_never_ends_does_not_hold_the_stop_beyond_the_deadline() {
    let mut bench = Bench::with(|options| options.answer_within = Duration::from_millis(500));
    bench.journal.set(Mode::Hold);
    let mut client = bench.connect();
    client.send(signed(&event("endless")));
    bench.journal.wait_for_held(1);
    let start = Instant::now();
    stop(&mut bench).join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(client.answer().status, 503);
}

#[test]
fn before_the_stop_requests_are_served_and_senders_are_sent_elsewhere() {
    let bench = Bench::new();
    bench.health.set_stopping();
    let answer = bench.post(&event("delay"));
    assert_eq!((answer.status, answer.header("connection")), (204, Some("close")));
    assert_eq!(bench.ask("GET /readyz HTTP/1.1\r\nhost: a\r\n\r\n").status, 503);
}
