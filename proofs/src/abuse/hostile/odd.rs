//! Signed events whose bodies nobody would write. Authenticated means kept: each must be answered 2xx.

use super::super::honest::deliver;
use super::Target;
use crate::random::Random;

pub(super) const SHAPES: u64 = 15;

pub(super) fn abuse(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let mut connection = None;
    let mut shape = lane;
    while target.goes_on() {
        let body = body(shape % SHAPES, chance);
        target.tried();
        if let Err(wrong) = deliver(target, &mut connection, &body, "an odd event", &mut 0) {
            target.ledger.complain(format!("an odd event of shape {} {wrong}", shape % SHAPES));
        }
        shape += 1;
    }
}

fn body(shape: u64, chance: &mut Random) -> Vec<u8> {
    let id = format!("cidmk{:016x}", chance.number());
    let call = |id: &str| format!(r#"{{"event":"call_ended","call":{{"call_id":"{id}"}}}}"#);
    match shape {
        0 => Vec::new(),
        1 => vec![b' '; 8 << 20],
        2 => format!("{}{id}", "[".repeat(100_000)).into(),
        3 => format!(r#"{{"event":"call_ended","call":{}"{id}"{}}}"#, r#"{"a":"#.repeat(100_000), "}".repeat(100_000))
            .into(),
        4 => call(&format!("{id}{}", "i".repeat(1 << 20))).into(),
        5 => call(&format!("{id}\0\0")).into(),
        6 => call(&format!(r"{id}\u0000\ud800")).into(),
        7 => [call(&id).as_bytes(), b"\xff\xfe\xc0\x80"].concat(),
        8 => [br#"{"event":"call_ended","call":{"call_id":""#, id.as_bytes(), b"\xff\xed\xa0\x80\"}}"].concat(),
        9 => format!(
            r#"{{"event":"call_ended","event":"chat_ended","call":{{"call_id":"{id}","call_id":"b"}},"call":3}}"#
        )
        .into(),
        10 => format!(
            r#"{{"event":"call_ended","n":{}e{},"call":{{"call_id":"{id}"}}}}"#,
            "9".repeat(100_000),
            "9".repeat(1_000)
        )
        .into(),
        11 => format!(r#"{{"event":{{"event":"call_ended"}},"call":"{id}""#).into(),
        12 => call(&id)[..56].to_string().into(),
        13 => format!("\u{feff}{}", call(&id)).into(),
        _ => {
            let mut noise = vec![0; 1 + chance.below(200_000) as usize];
            chance.fill(&mut noise);
            noise
        }
    }
}
