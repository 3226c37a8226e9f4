//! The byte stream under HTTP: passes bytes through, tells the [`Connection`] what was read, and ends when it says so.
//!
//! In: any byte stream (TCP; TLS fits underneath). Out: the same bytes. A head that came too slowly or is too large is
//! answered here, because no request has come out of it yet; everything else is answered by the handler.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{Connection, End, Read};
use super::refused::Refused;
use super::registry::Registry;
use super::voice::Voice;

pub(super) struct Stream<T> {
    inner: T,
    /// Its number in the registry.
    number: u64,
    connection: Arc<Connection>,
    registry: Arc<Registry>,
    voice: Arc<Voice>,
    /// The last write was not taken whole: an answer of our own would land inside another.
    is_mid_answer: bool,
}

impl<T> Stream<T> {
    /// Wraps a stream whose connection was admitted under `number`; leaves the registry when dropped.
    pub(super) fn new(
        inner: T,
        (number, connection): (u64, Arc<Connection>),
        registry: Arc<Registry>,
        voice: Arc<Voice>,
    ) -> Stream<T> {
        Stream { inner, number, connection, registry, voice, is_mid_answer: false }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }
}

impl<T> Drop for Stream<T> {
    fn drop(&mut self) {
        self.registry.leave(self.number);
    }
}

impl End {
    fn answer(self) -> &'static [u8] {
        match self {
            End::TooSlow => b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
            End::HeadTooLarge => {
                b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
            }
        }
    }

    fn refused(self) -> Refused {
        match self {
            End::TooSlow => Refused::TooSlow,
            End::HeadTooLarge => Refused::HeadTooLarge,
        }
    }
}

impl<T: AsyncWrite + Unpin> Stream<T> {
    /// Tries once to send the answer: the connection is closed whether it goes out or not.
    fn end(&mut self, context: &mut Context<'_>, end: Option<End>) -> io::Error {
        if let Some(end) = end {
            self.voice.refused_before_routing(self.connection.peer(), end.refused());
            if !self.is_mid_answer {
                let _ = Pin::new(&mut self.inner).poll_write(context, end.answer());
                let _ = Pin::new(&mut self.inner).poll_flush(context);
            }
        }
        io::Error::from(io::ErrorKind::TimedOut)
    }
}

impl<T> Stream<T> {
    fn unless_given_up<V>(&self, context: &Context<'_>, outcome: Poll<io::Result<V>>) -> Poll<io::Result<V>> {
        if outcome.is_pending() && self.connection.gives_up_writing(context) {
            return Poll::Ready(Err(io::Error::from(io::ErrorKind::TimedOut)));
        }
        outcome
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<T> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let is_last = match this.connection.before_read(context) {
            Read::Go => false,
            Read::Last => true,
            Read::Later => return Poll::Pending,
            Read::End(end) => return Poll::Ready(Err(this.end(context, end))),
        };
        let filled_before = buffer.filled().len();
        let outcome = Pin::new(&mut this.inner).poll_read(context, buffer);
        let read_bytes = buffer.filled().len() - filled_before;
        if read_bytes > 0 {
            this.connection.has_read(read_bytes, Instant::now());
        } else if is_last {
            return Poll::Ready(Err(this.end(context, None)));
        }
        outcome
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stream<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_write(context, bytes);
        this.is_mid_answer = !matches!(outcome, Poll::Ready(Ok(written)) if written == bytes.len());
        this.unless_given_up(context, outcome)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_flush(context);
        this.unless_given_up(context, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.inner).poll_shutdown(context);
        this.unless_given_up(context, outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test]
    async fn a_peer_that_does_not_read_holds_no_place_beyond_its_verdict() {
        use tokio::io::AsyncWriteExt;
        let metrics = Arc::new(Metrics::new());
        let registry = Arc::new(Registry::new(1, 1, Duration::from_secs(8), metrics.clone()));
        let place = registry.admit(Ipv4Addr::LOCALHOST.into(), true).unwrap();
        let (inner, _peer) = tokio::io::duplex(4);
        let voice = Arc::new(Voice::new(metrics, None));
        let mut stream = Stream::new(inner, place, registry.clone(), voice);
        let write = tokio::spawn(async move { stream.write_all(b"an answer").await });
        tokio::task::yield_now().await;
        assert!(!write.is_finished());
        registry.admit(Ipv4Addr::LOCALHOST.into(), true).unwrap();
        assert!(write.await.unwrap().is_err());
    }
}
