//! Bodies that arrive but for their last byte and then stay, six times as many bytes as `intake.in_flight_max` allows: the
//! bound on memory must hold by itself, not because the senders are few.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::super::wire;
use super::Target;
use crate::random::Random;

pub(super) const THREADS: u64 = 12;
/// Of each thread, at once.
const BODIES: usize = 4;
const BODY_BYTES: usize = 8 << 20;
/// How long they stay; none is late by then.
const STAY: Duration = Duration::from_millis(1_500);

pub(super) fn abuse(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let mut body = vec![b' '; BODY_BYTES];
    chance.fill(&mut body[128..]);
    while target.goes_on() {
        let held: Vec<(TcpStream, u8, String)> =
            (0..BODIES).filter_map(|_| begin(target, lane, chance, &mut body)).collect();
        std::thread::sleep(STAY);
        // The others hang up: a journal that frees nothing would be full of them.
        let ends = held.into_iter().take(usize::from(lane.is_multiple_of(4)));
        ends.for_each(|(stream, last, signature)| end(target, stream, last, &signature));
    }
}

/// Sends one but for its last byte.
fn begin(target: &Target<'_>, lane: u64, chance: &mut Random, body: &mut [u8]) -> Option<(TcpStream, u8, String)> {
    let name = target.body(lane, chance);
    body[..name.len()].copy_from_slice(name.as_bytes());
    let (line, signature) = target.sign(body);
    target.ledger.may_keep("a body that stays", &signature, body);
    target.tried();
    let mut stream = wire::open_from(1, target.address, wire::ANSWER_MAX).ok()?;
    stream.set_read_timeout(Some(wire::ANSWER_MAX)).ok()?;
    let (last, most) = body.split_last()?;
    let headers = format!("{line}Connection: close\r\nContent-Length: {}\r\n", body.len());
    // A bridge that is full hangs up in the middle, which is its right.
    stream.write_all(&wire::post(&target.source.path, &headers, most)).ok()?;
    Some((stream, *last, signature))
}

/// Sends the last byte, or hears that it had to make room.
fn end(target: &Target<'_>, mut stream: TcpStream, last: u8, signature: &str) {
    let mut said = Vec::new();
    let _ = stream.write_all(&[last]);
    let _ = stream.take(4_096).read_to_end(&mut said);
    let statuses = wire::statuses(&String::from_utf8_lossy(&said));
    match statuses.as_slice() {
        [204] => target.ledger.must_keep(signature),
        [] | [408 | 503] => {}
        other => target.ledger.complain(format!("a body that stayed was answered {other:?}")),
    }
}
