//! Puts the parts together and runs actix over our own stream type, as its `HttpServer` does over TCP.
//!
//! actix parses HTTP/1 and runs the workers. Its own timers and bounds are off: deadlines and bounds are the
//! [`Registry`]'s, held by the sweep.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerHandle};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::{self, Payload};
use actix_web::{App, HttpRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, LocalSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

use super::carrier::Carrier;
use super::clerk::Clerk;
use super::handler::{self, Desk};
use super::keys::{self, Keys};
use super::registry::{Registry, SPARE, SWEEP_EVERY};
use super::routes::{Routes, Source};
use super::stream::Stream;
use super::voice::Voice;
use super::{Keep, Options, SourceOptions, StartError, address};
use crate::event::Kind;
use crate::health::Health;
use crate::journal::Tag;
use crate::metrics::Metrics;
use crate::reload::Reload;

/// Connections that the kernel keeps for us while all workers are busy; a listener of the standard library asks for 128.
const BACKLOG: i32 = 1_024;
/// How long the rest of a refused body is read so that the answer is, too.
const LINGER: Duration = Duration::from_secs(2);
/// Beyond the deadline, for the last answers to be written when the intake stops.
const STOP_SLACK: Duration = Duration::from_secs(1);
/// The server says that it accepts no more when it has asked the thread that does; this long until that has heard it.
const PAUSED_WITHIN: Duration = Duration::from_millis(20);
/// How long a connection may take from that thread to the worker that admits it: until then nobody counts it.
const ADMITTED_WITHIN: Duration = Duration::from_millis(200);

/// Reads keys and tags and makes what every request needs.
pub(super) fn prepare(
    options: Options,
    keep: Keep,
    recovered: impl Iterator<Item = (Tag, u64)>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) -> Result<(Arc<Desk>, Vec<Reload>), StartError> {
    let mut key_files = Vec::new();
    let mut sources = Vec::new();
    for source in options.sources {
        let keys = open_keys(&source, &mut key_files, &metrics)?;
        let kinds = Kind::KNOWN.into_iter().chain([Kind::Test, Kind::Other]);
        metrics.expect_source(&source.name, kinds.map(Kind::name));
        keys.in_force().iter().for_each(|key| metrics.expect_key(&source.name, key.fingerprint()));
        sources.push((source.path.clone(), Source::new(source, keys)));
    }
    let index = (options.duplicates_window, options.duplicates_events_max);
    let clerk = Clerk::new(index, recovered, handler::now_ms(), keep, metrics.clone());
    let registry =
        Registry::new(options.connections_max, options.in_flight_max_bytes, options.answer_within, metrics.clone());
    let desk = Desk {
        routes: Routes::new(sources.into_iter(), options.health_path, options.trusted_proxies),
        body_max_bytes: options.body_max_bytes,
        registry: Arc::new(registry),
        clerk,
        voice: Arc::new(Voice::new(metrics.clone(), options.observer)),
        metrics,
        health,
    };
    Ok((Arc::new(desk), key_files))
}

fn open_keys(
    source: &SourceOptions,
    key_files: &mut Vec<Reload>,
    metrics: &Arc<Metrics>,
) -> Result<Arc<Keys>, StartError> {
    let Some(path) = &source.keys_file else {
        return Ok(Arc::new(Keys::new(source.keys.clone())));
    };
    let opened = keys::open(&source.name, path.clone(), source.keys.clone(), Arc::clone(metrics));
    let (keys, reload) =
        opened.map_err(|error| StartError::KeyFile { source_name: source.name.clone(), path: path.clone(), error })?;
    key_files.push(reload);
    Ok(keys)
}

/// The server and its clock.
pub(super) struct Running {
    desk: Arc<Desk>,
    /// The server's own socket once more: the server closes it with its last connection, which is too late.
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handle: ServerHandle,
    sweep: AbortHandle,
}

impl Running {
    /// `tls`: `None` serves HTTP as it is.
    pub(super) fn start(desk: Arc<Desk>, listener: TcpListener, tls: Option<Arc<ServerConfig>>) -> io::Result<Running> {
        rustix::net::listen(&listener, BACKLOG)?;
        let door = listener.try_clone()?;
        let workers = std::thread::available_parallelism().map_or(2, NonZeroUsize::get).clamp(2, 512);
        let connections_max = desk.registry.connections_max();
        let tls = tls.map(TlsAcceptor::from);
        let for_workers = (desk.clone(), tls.clone());
        let server = Server::build()
            .workers(workers)
            .disable_signals()
            // The registry decides: a worker that stops accepting would make the newcomer wait.
            .max_concurrent_connections(connections_max.saturating_add(8 * SPARE))
            .listen("intake", listener, move || serve(for_workers.0.clone(), for_workers.1.clone()))?
            .run();
        let handle = server.handle();
        tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "intake failed");
            }
        });
        let sweep = tokio::spawn(sweep(desk.clone())).abort_handle();
        Ok(Running { desk, listener: door, tls, handle, sweep })
    }

    #[cfg(test)]
    pub(super) fn in_flight_bytes(&self) -> usize {
        self.desk.registry.in_flight_bytes()
    }

    pub(super) async fn stop(self) {
        self.handle.pause().await;
        tokio::time::sleep(PAUSED_WITHIN).await;
        LocalSet::new().run_until(self.serve_the_last()).await;
        self.handle.stop(false).await;
    }

    /// Ends when every connection that was made has been served or was quiet.
    async fn serve_the_last(&self) {
        if let Err(error) = self.shut_the_door().await {
            tracing::warn!(%error, "newcomers wait for the end of the stop, instead of being refused");
        }
        self.desk.registry.close();
        let mut last_seen = Instant::now();
        let deadline = last_seen + self.desk.registry.answer_within() + STOP_SLACK;
        while last_seen.elapsed() < ADMITTED_WITHIN && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if !self.desk.registry.is_empty() {
                last_seen = Instant::now();
            }
        }
    }

    /// Serves those whom the kernel has connected and the server did not accept: their requests may be on the way, and
    /// would be answered by a reset. From then on newcomers are refused, and try elsewhere.
    async fn shut_the_door(&self) -> io::Result<()> {
        let service = serve(self.desk.clone(), self.tls.clone()).new_service(()).await;
        let service = service.map_err(|()| io::Error::other("the last connections cannot be served"))?;
        self.listener.set_nonblocking(true)?;
        // Counted, so that a flood cannot hold the door open.
        for _ in 0..=BACKLOG {
            let Ok((stream, _)) = self.listener.accept() else { break };
            stream.set_nonblocking(true)?;
            tokio::task::spawn_local(service.call(TcpStream::from_std(stream)?));
        }
        Ok(rustix::net::shutdown(&self.listener, rustix::net::Shutdown::Read)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.sweep.abort();
        // Sent at once; nobody waits for the answer.
        drop(self.handle.stop(false));
    }
}

async fn sweep(desk: Arc<Desk>) {
    let mut clock = tokio::time::interval(SWEEP_EVERY);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        desk.registry.sweep();
        desk.voice.say_left_out();
    }
}

/// One worker's service: a connection from its accept to its end.
fn serve(
    desk: Arc<Desk>,
    tls: Option<TlsAcceptor>,
) -> impl ServiceFactory<TcpStream, Config = (), Response = (), Error = DispatchError, InitError = ()> {
    let for_streams = desk.clone();
    fn_service(move |stream: TcpStream| {
        let admitted = admit(&for_streams, tls.as_ref(), stream);
        async move { admitted }
    })
    .and_then(http(desk))
}

/// HTTP over admitted streams, whatever carries their bytes.
pub(super) fn http<T: AsyncRead + AsyncWrite + Unpin + 'static>(
    desk: Arc<Desk>,
) -> impl ServiceFactory<(Stream<T>, Option<SocketAddr>), Config = (), Response = (), Error = DispatchError, InitError = ()>
{
    let handle = move |http: HttpRequest, payload: Payload| handler::handle(desk.clone(), http, payload);
    let app = App::new().default_service(web::to(handle));
    let app = app.into_factory().map_err(|error: actix_web::Error| error.error_response());
    HttpService::build()
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(LINGER)
        .on_connect_ext(|stream: &Stream<T>, data| {
            data.insert(stream.connection().clone());
        })
        .h1(map_config(app, |_| AppConfig::default()))
}

fn admit(
    desk: &Desk,
    tls: Option<&TlsAcceptor>,
    stream: TcpStream,
) -> Result<(Stream<Carrier>, Option<SocketAddr>), DispatchError> {
    let peer = stream.peer_addr()?;
    // Answers are one small write each.
    stream.set_nodelay(true)?;
    let address = address::canonical(peer.ip());
    let Some(place) = desk.registry.admit(address, desk.routes.is_welcome(address)) else {
        desk.voice.refused_before_routing(address, super::refused::Refused::NoRoom);
        return Err(DispatchError::Io(io::Error::from(io::ErrorKind::ConnectionRefused)));
    };
    let carrier = match tls {
        None => Carrier::Plain(stream),
        Some(acceptor) => Carrier::tls(stream, acceptor, &place.1, &desk.voice),
    };
    let stream = Stream::new(carrier, place, desk.registry.clone(), desk.voice.clone());
    Ok((stream, Some(peer)))
}
