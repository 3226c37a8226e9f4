//! Bodies at `body_max` and just over it, in parallel, in one piece and in chunks, signed and not.

use std::time::Duration;

use super::super::wire;
use super::Target;
use crate::random::Random;

const BODY_MAX_BYTES: usize = 8 << 20;
/// For all bytes to go out beside each other, and the answer.
const WAIT: Duration = Duration::from_secs(9);

pub(super) fn abuse(target: &Target<'_>, lane: u64, chance: &mut Random) {
    let mut body = vec![b' '; BODY_MAX_BYTES + 65_536];
    chance.fill(&mut body[64..]);
    while target.goes_on() {
        let name = target.body(lane, chance);
        body[..name.len()].copy_from_slice(name.as_bytes());
        let (over, is_chunked, is_signed) = (chance.pick(&[0, 0, 1, 65_536]), chance.chance(50), chance.chance(50));
        one(target, &body[..BODY_MAX_BYTES + over], is_chunked, is_signed);
    }
}

fn one(target: &Target<'_>, body: &[u8], is_chunked: bool, is_signed: bool) {
    let is_over = body.len() > BODY_MAX_BYTES;
    let (line, signature) = if is_signed { target.sign(body) } else { Default::default() };
    match (is_signed, is_over) {
        (true, false) => target.ledger.may_keep("a body at the limit", &signature, body),
        (true, true) => target.ledger.never_keep(&signature),
        (false, _) => {}
    }
    let bytes = match is_chunked {
        true => wire::post(
            &target.source.path,
            &format!("{line}Transfer-Encoding: chunked\r\n"),
            &wire::chunked(body, 65_536),
        ),
        false => wire::post(&target.source.path, &format!("{line}Content-Length: {}\r\n", body.len()), body),
    };
    let Some(answers) = target.exchange(&bytes, WAIT) else { return };
    let status = answers.statuses.first().copied();
    let is_kept = is_signed && !is_over;
    // 408 and 503: it made room for others on its way, and would be sent again.
    let allowed: &[u16] = match (is_kept, is_over) {
        (true, _) => &[204, 408, 503],
        (false, true) => &[413, 408, 503],
        (false, false) => &[401, 408, 503],
    };
    if status.is_some_and(|status| !allowed.contains(&status)) || answers.statuses.len() > 1 {
        let told = format!("{} bytes, chunked {is_chunked}, signed {is_signed}", body.len());
        target.ledger.complain(format!("a large body ({told}) was answered {:?}", answers.statuses));
    } else if is_kept && status == Some(204) {
        target.ledger.must_keep(&signature);
    }
}
