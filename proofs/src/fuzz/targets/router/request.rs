//! One request that is well-formed HTTP, of anything.
//!
//! In: the fuzzer's bytes. Out: the request's bytes, and its status where that can be told at once.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::input::Input;
use super::super::signature::signed;
use super::{BODY_BYTES_MAX, KEYS, PATHS, WINDOW_MS, peer};

/// One request that is well-formed HTTP, and its status where that can be told at once.
pub(super) struct Request {
    pub(super) bytes: Vec<u8>,
    pub(super) body: Vec<u8>,
    pub(super) expected: Option<u16>,
    pub(super) is_of_health: bool,
}

impl Request {
    pub(super) fn of(input: &mut Input<'_>, flags: u8) -> Request {
        let choice = input.byte();
        let path = PATHS[usize::from(choice % 6)];
        let method = if choice & 0x40 != 0 { "GET" } else { "POST" };
        let signing = input.byte();
        let extra = header_lines(input.piece());
        let forwarded = (flags & 2 != 0).then(|| ["10.1.9.9", "9.9.9.9", "rubbish"][usize::from(input.byte() % 3)]);
        let body = input.rest().to_vec();
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let key = KEYS[usize::from(signing & 1)];
        // An hour ago is stale, and no clock of a test is off by that.
        let header = signed(key.as_bytes(), &body, if signing & 2 != 0 { now_ms - 12 * WINDOW_MS } else { now_ms });
        let is_signed = signing & 12 != 12;
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\n");
        if is_signed {
            head += &format!("x-retell-signature: {header}\r\n");
        }
        if let Some(address) = forwarded {
            head += &format!("x-forwarded-for: {address}\r\n");
        }
        head += &extra;
        let is_chunked = signing & 16 != 0;
        let mut bytes = head.into_bytes();
        if is_chunked {
            bytes.extend(b"transfer-encoding: chunked\r\n\r\n");
            for chunk in body.chunks(usize::from(signing >> 5) * 97 + 5) {
                bytes.extend(format!("{:x}\r\n", chunk.len()).bytes().chain(chunk.iter().copied()).chain(*b"\r\n"));
            }
            bytes.extend(b"0\r\n\r\n");
        } else {
            bytes.extend(format!("content-length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend(&body);
        }
        let client = match forwarded {
            Some(address) if flags >> 6 == 0 => address.parse().ok(),
            _ => Some(peer(flags).to_canonical()),
        };
        let asked = Asked { path, method, is_signed, is_stale: signing & 2 != 0, key, client, length: body.len() };
        let is_local = flags >> 6 == 0 && forwarded.is_none();
        let expected = extra.is_empty().then(|| asked.status(&body, is_local));
        Request { bytes, body, expected, is_of_health: path == "/health" }
    }
}

/// Header lines that are well-formed, of anything.
fn header_lines(bytes: &[u8]) -> String {
    let name = |text: &[u8]| {
        text.iter()
            .filter(|byte| byte.is_ascii_alphanumeric() || **byte == b'-')
            .map(|byte| *byte as char)
            .collect::<String>()
    };
    let value = |text: &[u8]| {
        text.iter().filter(|byte| (32..127).contains(*byte)).map(|byte| *byte as char).collect::<String>()
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let name = name(&line[..at]);
        (!name.is_empty()).then(|| format!("{name}: {}\r\n", value(&line[at + 1..])))
    });
    lines.collect()
}

struct Asked<'a> {
    path: &'a str,
    method: &'a str,
    is_signed: bool,
    is_stale: bool,
    key: &'a str,
    client: Option<IpAddr>,
    length: usize,
}

impl Asked<'_> {
    /// By the table of the intake.
    fn status(&self, body: &[u8], is_local: bool) -> u16 {
        let source = match self.path.trim_end_matches('/') {
            "/webhook" => 0,
            "/webhook/team" => 1,
            "/dev" => 2,
            "/health" => return if self.method == "GET" { 200 } else { 405 },
            _ => return 404,
        };
        let is_of_team = self.client.is_some_and(|client| client.to_string().starts_with("10.1."));
        let holds = self.is_signed && self.key == KEYS[source & 1] && !self.is_stale;
        match () {
            () if source == 1 && !is_of_team => 403,
            () if self.method != "POST" => 405,
            () if self.length > BODY_BYTES_MAX => 413,
            () if source == 2 && !self.is_signed && is_local => status_kept(body),
            () if !holds => 401,
            () => status_kept(body),
        }
    }
}

fn status_kept(body: &[u8]) -> u16 {
    let is_inbound = retell_bridge::event::Peek::at(body).kind().is_inbound();
    if is_inbound { 200 } else { 204 }
}
