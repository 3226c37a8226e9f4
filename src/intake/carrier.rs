//! What carries a connection's bytes: TCP as it is, or TLS over it, whose handshake is made by the first read.
//!
//! In: an accepted TCP stream. Out: a byte stream. Never happens: a byte of an answer before the handshake is done; a
//! handshake that takes longer than an answer may (the [`Connection`]'s clock counts it).

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{Accept, TlsAcceptor};

use super::connection::Connection;
use super::voice::Voice;

/// See the module.
pub(super) enum Carrier {
    Plain(TcpStream),
    /// Boxed, because a TLS session is some hundred times larger than a TCP stream.
    Handshake(Box<Handshake>),
    Tls(Box<TlsStream<TcpStream>>),
    /// The handshake failed: nothing more is read or written.
    Failed,
}

pub(super) struct Handshake {
    accept: Accept<TcpStream>,
    peer: IpAddr,
    connection: Arc<Connection>,
    voice: Arc<Voice>,
}

impl Carrier {
    /// TLS over `stream`; the connection's clock counts the handshake from now on.
    pub(super) fn tls(
        stream: TcpStream,
        acceptor: &TlsAcceptor,
        connection: &Arc<Connection>,
        voice: &Arc<Voice>,
    ) -> Carrier {
        connection.begin_handshake(Instant::now());
        let (accept, peer) = (acceptor.accept(stream), connection.peer());
        let handshake = Handshake { accept, peer, connection: Arc::clone(connection), voice: Arc::clone(voice) };
        Carrier::Handshake(Box::new(handshake))
    }

    /// The stream underneath, once it may carry bytes.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Open<'_>>> {
        if let Carrier::Handshake(handshake) = self {
            match ready!(Pin::new(&mut handshake.accept).poll(context)) {
                Ok(stream) => {
                    handshake.connection.end_handshake(Instant::now());
                    *self = Carrier::Tls(Box::new(stream));
                }
                Err(error) => {
                    handshake.voice.handshake_failed(handshake.peer, &error);
                    *self = Carrier::Failed;
                    return Poll::Ready(Err(error));
                }
            }
        }
        match self {
            Carrier::Plain(stream) => Poll::Ready(Ok(Open::Plain(Pin::new(stream)))),
            Carrier::Tls(stream) => Poll::Ready(Ok(Open::Tls(Pin::new(stream.as_mut())))),
            Carrier::Handshake(_) | Carrier::Failed => Poll::Ready(Err(io::Error::from(io::ErrorKind::NotConnected))),
        }
    }
}

enum Open<'a> {
    Plain(Pin<&'a mut TcpStream>),
    Tls(Pin<&'a mut TlsStream<TcpStream>>),
}

impl AsyncRead for Carrier {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => stream.poll_read(context, buffer),
            Open::Tls(stream) => stream.poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Carrier {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => stream.poll_write(context, bytes),
            Open::Tls(stream) => stream.poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.get_mut().poll_open(context))? {
            Open::Plain(stream) => stream.poll_flush(context),
            Open::Tls(stream) => stream.poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if matches!(this, Carrier::Handshake(_) | Carrier::Failed) {
            // There is nothing to say goodbye in; dropping it closes it.
            return Poll::Ready(Ok(()));
        }
        match ready!(this.poll_open(context))? {
            Open::Plain(stream) => stream.poll_shutdown(context),
            Open::Tls(stream) => stream.poll_shutdown(context),
        }
    }
}
