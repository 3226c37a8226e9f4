//! Ten thousand slow connections, half of them slow in the head, half in the body.
//!
//! The bridge takes `connections_max` of them and ends the others or those furthest behind; each that is ended comes
//! again, at a bounded rate, so that the crowd stays without becoming a flood of connections.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::super::wire;
use super::Target;
use crate::random::Random;

pub(super) const THREADS: u64 = 8;
const CONNECTIONS: u64 = 10_000;
/// Each connection says one byte in so long.
const BYTE_EVERY: Duration = Duration::from_millis(500);
/// Connections that come again in that time, of each thread, after the first wave.
const AGAIN_MAX: usize = 50;
/// Where the bridge's queue is full, the kernel tries again after a second.
const CONNECT_WITHIN: Duration = Duration::from_millis(300);

pub(super) fn abuse(target: &Target<'_>, lane: u64, _: &mut Random) {
    let mut crowd: Vec<Option<TcpStream>> = (0..CONNECTIONS / THREADS).map(|_| None).collect();
    let mut may_come = crowd.len();
    while target.goes_on() {
        let round = Instant::now();
        for (nth, place) in crowd.iter_mut().enumerate() {
            if place.is_none() && may_come > 0 && target.goes_on() {
                may_come -= 1;
                target.tried();
                *place = begin(target, 10 + lane as u8, nth % 2 == 0);
            } else if place.as_mut().is_some_and(|stream| !says_a_byte(stream)) {
                *place = None;
            }
        }
        may_come = AGAIN_MAX;
        std::thread::sleep(BYTE_EVERY.saturating_sub(round.elapsed()));
    }
}

fn begin(target: &Target<'_>, host: u8, is_slow_in_head: bool) -> Option<TcpStream> {
    let mut stream = wire::open_from(host, target.address, CONNECT_WITHIN).ok()?;
    stream.set_nonblocking(true).ok()?;
    let path = &target.source.path;
    let start = match is_slow_in_head {
        true => format!("POST {path} HTTP/1.1\r\nHost: bridge\r\nX-Slow: "),
        false => format!("POST {path} HTTP/1.1\r\nHost: bridge\r\nContent-Length: 100000\r\n\r\n"),
    };
    stream.write_all(start.as_bytes()).ok()?;
    Some(stream)
}

/// False where the bridge has ended it.
fn says_a_byte(stream: &mut TcpStream) -> bool {
    let is_open = match stream.read(&mut [0; 512]) {
        Ok(0) => false,
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    is_open && stream.write(b"x").is_ok()
}
