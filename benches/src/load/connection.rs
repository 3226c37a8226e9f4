//! One keep-alive connection: a request goes out in pieces, an answer comes in.
//!
//! In: a template and a number. Out: the answer's status. Never happens: a block; a copy of a template.

use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::bodies::Template;

/// What a connection is busy with.
pub struct Busy<'a> {
    /// From the load's first event on.
    pub index: usize,
    /// From when its answer's time counts.
    pub since: Instant,
    pub sent: Instant,
    template: &'a Template,
    /// Of head, template and tail together.
    written: usize,
}

impl Busy<'_> {
    /// Length of the body, bytes.
    pub fn body_bytes(&self) -> usize {
        self.template.body_bytes()
    }
}

/// See the module.
pub struct Connection<'a> {
    pub socket: TcpStream,
    pub busy: Option<Busy<'a>>,
    /// epoll tells when it can be written to.
    pub waits_to_write: bool,
    head: Vec<u8>,
    tail: [u8; crate::bodies::TAIL_BYTES],
    answer: Vec<u8>,
}

impl<'a> Connection<'a> {
    pub fn open(to: SocketAddr) -> io::Result<Connection<'a>> {
        let socket = TcpStream::connect(to)?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let tail = [0; crate::bodies::TAIL_BYTES];
        Ok(Connection { socket, busy: None, waits_to_write: false, head: Vec::new(), tail, answer: Vec::new() })
    }

    /// Takes a request; [`Connection::write`] sends it.
    pub fn begin(&mut self, index: usize, number: u64, path: &str, template: &'a Template, since: Instant) {
        let clock =
            SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_millis().to_string();
        self.tail = template.tail(number);
        let digest = template.digest(&self.tail, &clock);
        self.head.clear();
        self.head.extend_from_slice(b"POST ");
        self.head.extend_from_slice(path.as_bytes());
        self.head.extend_from_slice(
            b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nX-Retell-Signature: v=",
        );
        self.head.extend_from_slice(clock.as_bytes());
        self.head.extend_from_slice(b",d=");
        self.head.extend_from_slice(&digest);
        self.head.extend_from_slice(b"\r\nContent-Length: ");
        self.head.extend_from_slice(template.body_bytes().to_string().as_bytes());
        self.head.extend_from_slice(b"\r\n\r\n");
        self.answer.clear();
        self.busy = Some(Busy { index, since, sent: Instant::now(), template, written: 0 });
    }

    /// Writes what the socket takes; true when all is out.
    pub fn write(&mut self) -> io::Result<bool> {
        let Some(busy) = &mut self.busy else { return Ok(true) };
        let parts: [&[u8]; 3] = [&self.head, &busy.template.head, &self.tail];
        let whole: usize = parts.iter().map(|part| part.len()).sum();
        while busy.written < whole {
            let mut skip = busy.written;
            let left = parts.map(|part| {
                let skipped = skip.min(part.len());
                skip -= skipped;
                IoSlice::new(&part[skipped..])
            });
            match self.socket.write_vectored(&left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => busy.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Reads what has come; the status when the answer is whole, and whether the connection can be used again.
    pub fn read(&mut self) -> io::Result<Option<(u16, bool)>> {
        let mut piece = [0; 2048];
        loop {
            match self.socket.read(&mut piece) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.answer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            if let Some(done) = whole(&self.answer) {
                return Ok(Some(done));
            }
        }
    }
}

/// The status of an answer that is whole, and whether the connection stays open. A body of unknown length ends the
/// connection: only refusals have one.
fn whole(answer: &[u8]) -> Option<(u16, bool)> {
    let head_bytes = answer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&answer[..head_bytes]).unwrap_or_default().to_ascii_lowercase();
    let code: u16 = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or_default();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let length = field("content-length:").and_then(|length| length.parse::<usize>().ok());
    let is_known = length.is_some() || code == 204;
    let stays = is_known && field("connection:") != Some("close");
    (answer.len() >= head_bytes + length.unwrap_or_default()).then_some((code, stays))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is() {
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\nX-Event-Id: a\r\n"), None);
        assert_eq!(whole(b"HTTP/1.1 204 No Content\r\n\r\n"), Some((204, true)));
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"), None);
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"), Some((200, true)));
        assert_eq!(whole(b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"), Some((503, false)));
        assert_eq!(whole(b"HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n"), Some((500, false)));
    }
}
