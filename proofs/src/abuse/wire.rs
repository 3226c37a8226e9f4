//! Raw bytes to the intake, and the statuses that come back.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

/// Longer than the bridge takes for any answer.
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long silence must last after an answer to be the end of it: a hidden request would be answered in that time.
const SILENCE: Duration = Duration::from_millis(120);

/// Connects from 127.0.0.`host`: ten thousand connections and their remains do not fit one address's ports.
pub(super) fn open_from(host: u8, to: SocketAddr, within: Duration) -> std::io::Result<TcpStream> {
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(within))?;
    bind(&socket, &SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, host), 0))?;
    connect(&socket, &to)?;
    Ok(TcpStream::from(socket))
}

/// What came back on one connection.
pub(super) struct Answers {
    pub statuses: Vec<u16>,
    /// For the sweep: it may give nothing away.
    pub text: String,
}

/// Sends `bytes` on a connection of its own and reads until the end, or until silence follows an answer.
pub(super) fn exchange(to: SocketAddr, bytes: &[u8], wait: Duration) -> std::io::Result<Answers> {
    let mut stream = TcpStream::connect_timeout(&to, ANSWER_MAX)?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    stream.set_read_timeout(Some(SILENCE))?;
    // A server may refuse and hang up before it has read all; what it says then is still to be read.
    let _ = stream.write_all(bytes);
    let (mut said, mut piece, end) = (Vec::new(), [0; 8192], Instant::now() + wait.min(ANSWER_MAX));
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => said.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if !said.is_empty() || Instant::now() >= end {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&said).into_owned();
    Ok(Answers { statuses: statuses(&text), text })
}

/// The status of each answer in `text`, but for the interim ones.
pub(super) fn statuses(text: &str) -> Vec<u16> {
    let lines = text.split("HTTP/1.").skip(1);
    let all = lines.filter_map(|rest| rest.split(' ').nth(1)?.get(..3)?.parse().ok());
    all.filter(|status| *status >= 200).collect()
}

/// One POST as bytes; `headers` are lines with their ends.
pub(super) fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("POST {path} HTTP/1.1\r\nHost: bridge\r\n{headers}\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// `body` in chunks.
pub(super) fn chunked(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + body.len() / 1024 + 64);
    for chunk in body.chunks(chunk_bytes) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_counted_and_an_interim_one_is_not() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 400 Bad Request\r\n\r\n";
        assert_eq!(statuses(text), [204, 400]);
        assert!(statuses("\x15\x03\x01").is_empty());
    }
}
