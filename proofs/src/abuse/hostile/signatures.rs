//! Floods of signatures that do not hold, as fast as a few connections can. Each must be a 401 with its own reason.

use support::http::Connection;
use support::sign::{now_ms, signature};

use super::Target;
use crate::random::Random;

const HEADER: &str = "X-Retell-Signature";
const KINDS: [&str; 5] = ["wrong", "stale", "malformed", "missing", "doubled"];
/// As the bridge counts them: one that is doubled is malformed.
pub(in super::super) const REASONS: [&str; 4] = ["wrong", "stale", "malformed", "missing"];

pub(super) fn abuse(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let mut connection = None;
    while target.goes_on() {
        let kind = chance.pick(&KINDS);
        let body = target.body(lane, chance);
        let values = values(target, kind, body.as_bytes(), chance);
        let headers: Vec<(&str, &str)> = values.iter().map(|value| (HEADER, value.as_str())).collect();
        target.tried();
        let reason = if kind == "doubled" { "malformed" } else { kind };
        target.known.lock().expect("no holder panics").entry(reason).or_default().0 += 1;
        if connection.is_none() {
            connection = Connection::open(target.address).ok();
        }
        let answer =
            connection.as_mut().and_then(|open| open.post(&target.source.path, &headers, body.as_bytes()).ok());
        match answer.map(|answer| answer.status) {
            Some(401) => target.known.lock().expect("no holder panics").entry(reason).or_default().1 += 1,
            Some(status) => target.ledger.complain(format!("a signature that is {kind} was answered {status}")),
            None => connection = None,
        }
    }
}

fn values(target: &Target<'_>, kind: &str, body: &[u8], chance: &mut Random) -> Vec<String> {
    let now = now_ms();
    let good = signature(&target.source.api_key, body, now);
    match kind {
        "wrong" => vec![signature("not the key", body, now)],
        "stale" => vec![signature(&target.source.api_key, body, now - 3_600_000)],
        "missing" => Vec::new(),
        "doubled" => vec![good.clone(), good],
        _ => {
            let bad = ["", "v=", "v=1,d=", "v=-1,d=00", "d=0,v=1", "v=99999999999999999999,d=0", "\u{2603}"];
            vec![
                chance
                    .pick(
                        &[good.to_uppercase().as_str(), &good[..good.len() - 1]]
                            .iter()
                            .chain(&bad)
                            .copied()
                            .collect::<Vec<_>>(),
                    )
                    .to_string(),
            ]
        }
    }
}
