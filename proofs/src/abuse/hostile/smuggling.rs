//! Requests that two servers could read in two ways, a signed request hidden in each, and what is no HTTP/1 at all. The
//! hidden request must never become an event.

use std::time::Duration;

use super::super::wire;
use super::Target;
use crate::random::Random;

const WAIT: Duration = Duration::from_millis(250);
const PIPELINED: usize = 50;

/// Header lines of the outer request, and what stands between them and the hidden one.
const AMBIGUOUS: [(&str, &str); 18] = [
    ("Content-Length: 0\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked\r\nContent-Length: 4", "0\r\n\r\n"),
    ("Content-Length: 0\r\nContent-Length: 5", ""),
    ("Content-Length: 0, 0", ""),
    ("Content-Length: +0", ""),
    ("Content-Length: -1", ""),
    ("Content-Length: 0x0", ""),
    ("Content-Length: 0 0", ""),
    ("Content-Length: 99999999999999999999999", ""),
    ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "0\r\n\r\n"),
    ("Transfer-Encoding: xchunked", "0\r\n\r\n"),
    ("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"),
    ("Transfer-Encoding : chunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked, identity", "0\r\n\r\n"),
    ("Transfer-Encoding: \x0bchunked", "0\r\n\r\n"),
    ("Transfer-Encoding: chunked", "zz\r\n"),
    ("Transfer-Encoding: chunked", "-0\r\n\r\n"),
    ("Host: other\r\nContent-Length: 0", ""),
];

pub(super) fn abuse(target: &Target<'_>, lane: u64, chance: &mut Random) {
    while target.goes_on() {
        match chance.below(12) {
            0..=5 => ambiguous(target, lane, chance),
            6 => hidden_in_a_body(target, lane, chance, true),
            7 => hidden_in_a_body(target, lane, chance, false),
            8 => pipelined(target, lane, chance),
            9 => extension_bomb(target, chance),
            10 => loose_lines(target, lane, chance),
            _ => other_protocols(target, chance),
        }
    }
}

fn hidden(target: &Target<'_>, lane: u64, chance: &mut Random) -> Vec<u8> {
    let body = target.body(lane, chance);
    let (line, signature) = target.sign(body.as_bytes());
    target.ledger.never_keep(&signature);
    wire::post(&target.source.path, &format!("{line}Content-Length: {}\r\n", body.len()), body.as_bytes())
}

fn ambiguous(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let (lines, between) = chance.pick(&AMBIGUOUS);
    let body = [between.as_bytes(), &hidden(target, lane, chance)].concat();
    let bytes = wire::post(&target.source.path, &format!("{lines}\r\n"), &body);
    target.expect_refusal(&format!("an ambiguous request ({lines:?})"), &bytes, WAIT);
}

/// The outer one is an event where it is signed, and the only one.
fn hidden_in_a_body(target: &Target<'_>, lane: u64, chance: &mut Random, is_signed: bool) {
    let body = hidden(target, lane, chance);
    let (line, signature) = if is_signed { target.sign(&body) } else { Default::default() };
    if is_signed {
        target.ledger.may_keep("a request around another", &signature, &body);
    }
    let bytes = match chance.chance(50) {
        true => wire::post(&target.source.path, &format!("{line}Content-Length: {}\r\n", body.len()), &body),
        false => {
            let lines = format!("{line}Transfer-Encoding: chunked\r\n");
            wire::post(&target.source.path, &lines, &wire::chunked(&body, 1 + chance.below(100) as usize))
        }
    };
    let Some(answers) = target.exchange(&bytes, Duration::from_secs(9)) else { return };
    match (is_signed, &answers.statuses[..]) {
        (true, [204]) => target.ledger.must_keep(&signature),
        (_, [] | [408 | 503]) | (false, [401]) => {}
        (_, other) => target.ledger.complain(format!("a request around another, signed {is_signed}: {other:?}")),
    }
}

/// As many answers as come are for the first of them, in order.
fn pipelined(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let (mut bytes, mut signatures) = (Vec::new(), Vec::new());
    for _ in 0..PIPELINED {
        let body = target.body(lane, chance);
        let (line, signature) = target.sign(body.as_bytes());
        target.ledger.may_keep("a pipelined event", &signature, body.as_bytes());
        let lines = format!("{line}Content-Length: {}\r\n", body.len());
        bytes.extend(wire::post(&target.source.path, &lines, body.as_bytes()));
        signatures.push(signature);
    }
    let Some(answers) = target.exchange(&bytes, Duration::from_secs(9)) else { return };
    for (signature, status) in signatures.iter().zip(&answers.statuses) {
        match status {
            204 => target.ledger.must_keep(signature),
            408 | 503 => {}
            other => target.ledger.complain(format!("a pipelined event was answered {other}")),
        }
    }
}

fn extension_bomb(target: &Target<'_>, chance: &mut Random) {
    let extension = "e".repeat(chance.pick(&[1 << 10, 64 << 10, 1 << 20]));
    let many = "1;a=b\r\nx\r\n".repeat(chance.pick(&[1, 10_000]));
    let body = format!("{many}1;{extension}\r\nx\r\n0\r\n\r\n");
    let bytes = wire::post(&target.source.path, "Transfer-Encoding: chunked\r\n", body.as_bytes());
    target.expect_refusal("a bomb of chunk extensions", &bytes, WAIT);
}

/// Bare line feeds and folded lines, unsigned.
fn loose_lines(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let path = &target.source.path;
    let body = target.body(lane, chance);
    let length = body.len();
    let requests = [
        format!("POST {path} HTTP/1.1\nHost: bridge\nContent-Length: {length}\n\n{body}"),
        format!(
            "POST {path} HTTP/1.1\r\nHost: bridge\r\nX-Folded: a\r\n b: c\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
        format!("POST {path} HTTP/1.1\r\nHost: bridge\r\nContent-Length:\r\n {length}\r\n\r\n{body}"),
        format!("POST {path} HTTP/1.1\rHost: bridge\rContent-Length: {length}\r\r{body}"),
        format!("POST {path}\r\n\r\n{body}"),
        format!("POST {path} HTTP/9.9\r\nHost: bridge\r\n\r\n{body}"),
    ];
    let bytes = &requests[chance.below(requests.len() as u64) as usize];
    target.expect_refusal("a request with loose lines", bytes.as_bytes(), WAIT);
}

fn other_protocols(target: &Target<'_>, chance: &mut Random) {
    let mut noise = vec![0; 1 + chance.below(100_000) as usize];
    chance.fill(&mut noise);
    let hello = [&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &noise[..noise.len().min(500)]].concat();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    let bytes = &[noise, hello, preface][chance.below(3) as usize];
    target.expect_refusal("what is no HTTP/1", bytes, WAIT);
}
