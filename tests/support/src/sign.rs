//! Retell's signature and the bridge's event identity, written a second time from their descriptions.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// The value of `X-Retell-Signature` for `body`, signed at `v` (Unix milliseconds).
pub fn signature(api_key: &str, body: &[u8], v: u64) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(api_key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.update(v.to_string().as_bytes());
    format!("v={v},d={}", hex(&mac.finalize().into_bytes()))
}

/// The event id: BLAKE3 over source and body, and over the signed clock for types whose bytes may repeat.
pub fn ce_id(source: &str, body: &[u8], v: Option<u64>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(source.len() as u32).to_le_bytes());
    hasher.update(source.as_bytes());
    hasher.update(body);
    if let Some(v) = v {
        hasher.update(&v.to_le_bytes());
    }
    hex(&hasher.finalize().as_bytes()[..16])
}

pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

/// Bytes of hexadecimal text that a tool printed.
pub fn unhex(text: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("a tool prints hexadecimal") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis() as u64
}
