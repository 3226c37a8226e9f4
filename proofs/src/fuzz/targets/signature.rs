//! The signature header: parsed and verified, against a plain second reading.
//!
//! In: keys, a body, two clocks, a window and header values: as they are, or made from a true signature and changed in one
//! place. Out: nothing. What must hold: the verdict, and the refusal's kind, are those of the second reading (its own
//! HMAC from its definition, its own parser); what is signed is accepted; an accepted body is the bytes that were given.

use bytes::Bytes;
use retell_bridge::signature::{ApiKey, Refusal, clock_ms, sign, verify};
use sha2::{Digest, Sha256};

use super::input::{Input, piece};

/// JavaScript's largest exact integer.
const CLOCK_MAX_MS: u64 = (1 << 53) - 1;
const BLOCK_BYTES: usize = 64;

/// See the module.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let flags = input.byte();
    let keys: Vec<&[u8]> = (0..flags & 3).map(|_| input.piece()).collect();
    // A key is text; the settings take no other.
    let keys: Vec<String> = keys.into_iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect();
    let now_ms = clock(&mut input);
    let window_ms = input.number();
    let mut values: Vec<Vec<u8>> = (0..flags >> 2 & 3).map(|_| input.piece().to_vec()).collect();
    let signer = keys.get(usize::from(flags >> 4 & 1)).filter(|_| flags & 0x20 != 0);
    let signed_ms = if flags & 0x40 != 0 { now_ms.wrapping_add(input.number()) } else { clock(&mut input) };
    let change = (flags & 0x80 != 0).then(|| (input.byte(), input.byte()));
    let body = input.rest();
    if let Some(key) = signer {
        let header = sign(&ApiKey::new(key), body, signed_ms);
        assert_eq!(header, signed(key.as_bytes(), body, signed_ms), "signed otherwise than documented");
        let mut header = header.into_bytes();
        if let Some((at, by)) = change {
            let at = usize::from(at) % header.len();
            header[at] ^= by;
        }
        values.push(header);
    }
    judge(&values, body, &keys, now_ms, window_ms);
}

fn clock(input: &mut Input<'_>) -> u64 {
    match input.byte() {
        0 => 1_700_000_000_000 + u64::from(input.u16()),
        1 => CLOCK_MAX_MS - u64::from(input.byte()),
        _ => input.number(),
    }
}

fn judge(values: &[Vec<u8>], body: &[u8], keys: &[String], now_ms: u64, window_ms: u64) {
    let api_keys: Vec<ApiKey> = keys.iter().map(|key| ApiKey::new(key)).collect();
    let given = Bytes::copy_from_slice(body);
    let verdict = verify(values.iter().map(Vec::as_slice), given, &api_keys, now_ms, window_ms);
    let expected = second_reading(values, body, keys, now_ms, window_ms);
    match (verdict, expected) {
        (Ok(held), Ok(key)) => {
            assert!(held.body() == body, "another body is carried than was signed");
            assert_eq!(held.header().as_bytes(), values[0], "another header is carried than came");
            assert_eq!(Some(held.clock_ms()), clock_ms(held.header()));
            assert_eq!(held.key_fingerprint(), fingerprint(key));
        }
        (verdict, expected) => assert_eq!(verdict.err(), expected.err(), "for {values:?}"),
    }
}

/// Which key held, or why none did.
fn second_reading<'k>(
    values: &[Vec<u8>],
    body: &[u8],
    keys: &'k [String],
    now_ms: u64,
    window_ms: u64,
) -> Result<&'k str, Refusal> {
    let value = match values {
        [] => return Err(Refusal::Missing),
        [value] => std::str::from_utf8(value).map_err(|_| Refusal::Malformed)?,
        _ => return Err(Refusal::Malformed),
    };
    let (clock, digest) = value.strip_prefix("v=").and_then(|rest| rest.split_once(",d=")).ok_or(Refusal::Malformed)?;
    let is_hex = |digit: char| digit.is_ascii_digit() || ('a'..='f').contains(&digit);
    let is_shaped =
        digest.len() == 64 && digest.chars().all(is_hex) && clock.chars().all(|digit| digit.is_ascii_digit());
    let clock_ms: u64 =
        clock.parse().ok().filter(|clock| is_shaped && *clock <= CLOCK_MAX_MS).ok_or(Refusal::Malformed)?;
    let makes_it = |key: &&String| signed(key.as_bytes(), body, clock_ms).ends_with(&format!(",d={digest}"));
    let key = keys.iter().rev().find(makes_it).ok_or(Refusal::Wrong)?;
    if now_ms.abs_diff(clock_ms) > window_ms { Err(Refusal::Stale) } else { Ok(key) }
}

/// The header by its definition: HMAC-SHA256 of body ‖ digits, as RFC 2104 has it.
pub fn signed(key: &[u8], body: &[u8], clock_ms: u64) -> String {
    let mut block = [0; BLOCK_BYTES];
    if key.len() > BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let (inner, outer) = (block.map(|byte| byte ^ 0x36), block.map(|byte| byte ^ 0x5c));
    let inner = Sha256::digest([&inner[..], body, clock_ms.to_string().as_bytes()].concat());
    format!("v={clock_ms},d={}", hex(&Sha256::digest([&outer[..], &inner].concat())))
}

fn fingerprint(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes())[..4])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Signed, changed in one place, twice, stale, and bare values.
pub fn seeds() -> Vec<Vec<u8>> {
    let key = piece(b"key_0123456789abcdef");
    let now = [0, 0x10, 0];
    let header = signed(b"key_0123456789abcdef", b"{}", 1_700_000_000_016).into_bytes();
    vec![
        [&[0x61][..], &key, &now, &[250, 0], b"{\"event\":\"call_ended\"}"].concat(),
        [&[0xe1][..], &key, &now, &[250, 5, 9, 1], b"{}"].concat(),
        [&[0x72][..], &key, &piece(b"k"), &now, &[0, 1], b"{}"].concat(),
        [&[0x05][..], &key, &now, &[0xfe, 0], &piece(&header), &[0, 0, 0], b"{}"].concat(),
        [&[0x29][..], &key, &now, &[3], &piece(b"v=1,d="), &piece(b"v=01700000000000,d=ab"), &[1, 0]].concat(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_reading_judges_the_official_vectors_as_they_are_judged() {
        let text = include_str!("../../../../tests/data/signature_vectors.json");
        let file: serde_json::Value = serde_json::from_str(text).expect("JSON");
        for vector in file["vectors"].as_array().expect("a list") {
            let text = |name: &str| vector[name].as_str().expect("a text");
            let keys = [text("key").to_owned()];
            let now_ms = vector["now_ms"].as_u64().expect("a number");
            let header = [text("header").as_bytes().to_vec()];
            let verdict = second_reading(&header, text("body").as_bytes(), &keys, now_ms, 300_000);
            assert_eq!(verdict.is_ok(), vector["expected"].as_bool().unwrap_or(false), "{}", text("id"));
        }
    }
}
