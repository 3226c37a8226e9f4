//! Heads that nobody sends: doubled and countless headers, long and crooked paths, NUL. None is an event.

use std::time::Duration;

use super::super::wire;
use super::Target;
use crate::random::Random;

const WAIT: Duration = Duration::from_millis(400);

pub(super) fn abuse(target: &Target<'_>, lane: u64, chance: &mut Random) {
    while target.goes_on() {
        let body = target.body(lane, chance);
        let length = format!("Content-Length: {}\r\n", body.len());
        let (path, lines) = match chance.below(3) {
            0 => (target.source.path.clone(), doubled(target, body.as_bytes(), chance)),
            1 => (target.source.path.clone(), bomb(chance)),
            _ => (crooked(&target.source.path, chance), String::new()),
        };
        let bytes = wire::post(&path, &format!("{length}{lines}"), body.as_bytes());
        target.expect_refusal("a head that nobody sends", &bytes, WAIT);
    }
}

fn doubled(target: &Target<'_>, body: &[u8], chance: &mut Random) -> String {
    let (good, signature) = target.sign(body);
    target.ledger.never_keep(&signature);
    let bad = "X-Retell-Signature: v=1,d=00\r\n";
    match chance.below(4) {
        0 => format!("{good}{bad}"),
        1 => format!("{bad}{good}"),
        2 => format!("{good}{good}"),
        _ => format!("{good}Host: other\r\n"),
    }
}

fn bomb(chance: &mut Random) -> String {
    match chance.below(4) {
        0 => (0..chance.pick(&[200, 5_000, 50_000])).map(|nth| format!("X-{nth}: 1\r\n")).collect(),
        1 => format!("X-Large: {}\r\n", "x".repeat(1 << 20)),
        2 => format!("X-Retell-Signature: {}\r\n", "v=".repeat(10_000)),
        _ => format!("X-Nul: a\0b\r\n{}: x\r\n", "N".repeat(40_000)),
    }
}

fn crooked(path: &str, chance: &mut Random) -> String {
    match chance.below(8) {
        0 => format!("/{}", "a".repeat(chance.pick(&[2_000, 30_000, 200_000]))),
        1 => format!("{path}/../../..{path}/../../etc/passwd"),
        2 => path.replace('w', "%77"),
        3 => format!("{path}%00"),
        4 => format!("{path}\0"),
        5 => format!("/{path}//"),
        6 => format!("http://elsewhere{path}"),
        _ => format!("{path}%zz%f{}?{}", "%2e%2e%2f".repeat(500), "querymk=%".repeat(100)),
    }
}
