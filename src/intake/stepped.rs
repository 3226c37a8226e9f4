//! The intake without its port, threads and clock: one conversation at a time over a stream that the caller brings.
//!
//! In: a peer's address and its byte stream. Out: the answers on that stream, as the running intake gives them. Never
//! happens: a socket; a deadline (the sweep that holds them belongs to the running intake).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use actix_service::{Service, ServiceFactory};
use tokio::io::{AsyncRead, AsyncWrite};

use super::handler::Desk;
use super::stream::Stream;
use super::{Keep, Options, StartError, address, server};
use crate::health::Health;
use crate::journal::Tag;
use crate::metrics::Metrics;

/// See the module; key files are read once, and there is no TLS: the caller brings the stream.
pub struct Stepped {
    desk: Arc<Desk>,
}

impl Stepped {
    /// What [`super::Intake::start`] takes, but for a listener.
    pub fn new(
        options: Options,
        keep: Keep,
        recovered: impl Iterator<Item = (Tag, u64)>,
        metrics: Arc<Metrics>,
        health: Arc<Health>,
    ) -> Result<Stepped, StartError> {
        let (desk, _key_files) = server::prepare(options, keep, recovered, metrics, health)?;
        Ok(Stepped { desk })
    }

    /// Serves one connection to its end; how HTTP ended is the stream's to tell. Must be called inside a
    /// `tokio::task::LocalSet`.
    pub async fn serve<T: AsyncRead + AsyncWrite + Unpin + 'static>(&self, stream: T, peer: IpAddr) {
        let peer = address::canonical(peer);
        let Some(place) = self.desk.registry.admit(peer, self.desk.routes.is_welcome(peer)) else { return };
        let stream = Stream::new(stream, place, self.desk.registry.clone(), self.desk.voice.clone());
        let Ok(http) = server::http(self.desk.clone()).new_service(()).await else { return };
        // A peer that breaks off is told of like one that leaves.
        let _ = http.call((stream, Some(SocketAddr::new(peer, 0)))).await;
    }
}
