//! The second listener: `/livez`, `/readyz` and `/metrics`, for probes and Prometheus.
//!
//! In: what the parts report to [`Health`] and [`Metrics`]. Out: 200 or 503, text. Never happens: a question to Kafka or to
//! the disk, a wait for a lock that waits for I/O, so that a probe is answered however bad things are; an event's
//! contents.

use std::fmt::Write;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, guard, web};
use tokio::task::JoinHandle;

use crate::health::{Health, Readiness};
use crate::metrics::{self, Metrics};

/// Begins the line of each check in `/readyz?verbose` that keeps it from being ready.
pub const FAILED: &str = "failed ";
/// Begins that of a check which does not hold and does not decide.
pub const WARNING: &str = "warning";
const OK: &str = "ok     ";
/// Probes and one scraper.
const CONNECTIONS_MAX: usize = 64;
/// A scrape under way at the stop.
const STOP_WITHIN_SECONDS: u64 = 1;

/// The running listener.
pub struct Admin {
    address: SocketAddr,
    handle: ServerHandle,
    server: JoinHandle<io::Result<()>>,
}

struct Facts {
    metrics: Arc<Metrics>,
    health: Arc<Health>,
}

impl Admin {
    /// Serves on a bound listener. Must be called inside a tokio runtime.
    pub fn start(listener: TcpListener, metrics: Arc<Metrics>, health: Arc<Health>) -> io::Result<Admin> {
        let address = listener.local_addr()?;
        let facts = Data::new(Facts { metrics, health });
        let server = HttpServer::new(move || App::new().app_data(facts.clone()).configure(routes))
            .workers(1)
            .max_connections(CONNECTIONS_MAX)
            .shutdown_timeout(STOP_WITHIN_SECONDS)
            .disable_signals()
            .listen(listener)?
            .run();
        let handle = server.handle();
        let server = tokio::spawn(server);
        tracing::info!(address = %address, "admin listening");
        Ok(Admin { address, handle, server })
    }

    /// Where it listens; the port is the one it got where it asked for any.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener, after at most a second for answers under way.
    pub async fn stop(self) {
        self.handle.stop(true).await;
        // Ended by the line above; a panic in it is told by its own message.
        let _ = self.server.await;
    }
}

fn routes(app: &mut web::ServiceConfig) {
    // A probe may use HEAD.
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    app.service(web::resource("/livez").route(read().to(livez)))
        .service(web::resource("/readyz").route(read().to(readyz)))
        .service(web::resource("/metrics").route(read().to(scrape)));
}

async fn livez() -> HttpResponse {
    HttpResponse::Ok().content_type(TEXT).body("alive\n")
}

async fn readyz(request: HttpRequest, facts: Data<Facts>) -> HttpResponse {
    let readiness = facts.health.readiness();
    let verbose =
        request.query_string().split('&').any(|part| matches!(part, "verbose" | "verbose=1" | "verbose=true"));
    let mut answer = if readiness.is_ready() { HttpResponse::Ok() } else { HttpResponse::ServiceUnavailable() };
    let text = match (verbose, readiness.is_ready()) {
        (true, _) => told(&readiness),
        (false, true) => "ready\n".to_owned(),
        (false, false) => "not ready\n".to_owned(),
    };
    answer.content_type(TEXT).body(text)
}

async fn scrape(facts: Data<Facts>) -> HttpResponse {
    HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(facts.metrics.scrape())
}

const TEXT: &str = "text/plain; charset=utf-8";

/// Each check on a line of its own.
fn told(readiness: &Readiness) -> String {
    let mut text = String::new();
    for check in &readiness.checks {
        // Writing to a text cannot fail.
        let _ = match (check.holds, check.decides) {
            (true, _) => writeln!(text, "{OK} {}", check.name),
            (false, true) => writeln!(text, "{FAILED} {}: {}", check.name, check.trouble),
            (false, false) => writeln!(text, "{WARNING} {}: {}", check.name, check.trouble),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Answer {
        status: u16,
        content_type: String,
        body: String,
    }

    /// Starts a listener whose health is set up by `set`, and asks it.
    fn ask(set: impl Fn(&Health), method: &str, path: &str) -> Answer {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let health = Arc::new(Health::default());
        set(&health);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = {
            let _inside = runtime.enter();
            Admin::start(listener, Arc::new(Metrics::new()), health).unwrap()
        };
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", admin.address()));
        let mut response = agent.run(request.body(()).unwrap()).unwrap();
        let answer = Answer {
            status: response.status().as_u16(),
            content_type: response.headers().get("content-type").map_or("", |value| value.to_str().unwrap()).to_owned(),
            body: response.body_mut().read_to_string().unwrap(),
        };
        runtime.block_on(admin.stop());
        answer
    }

    #[test]
    fn it_lives_before_it_is_ready() {
        assert_eq!(ask(|_| {}, "GET", "/livez").status, 200);
        let answer = ask(|_| {}, "GET", "/readyz");
        assert_eq!((answer.status, answer.body.as_str()), (503, "not ready\n"));
        let answer = ask(Health::set_started, "GET", "/readyz");
        assert_eq!((answer.status, answer.body.as_str()), (200, "ready\n"));
        assert_eq!(ask(Health::set_started, "HEAD", "/readyz").status, 200);
    }

    #[test]
    fn verbose_tells_each_check_and_the_trouble_with_it() {
        let set = |health: &Health| {
            health.set_started();
            health.set_journal_full(true);
        };
        let answer = ask(set, "GET", "/readyz?verbose");
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("\nok      running\n"), "{}", answer.body);
        assert!(answer.body.contains("\nfailed  journal_room: no room"), "{}", answer.body);
        assert!(answer.body.contains("\nwarning kafka: "), "{}", answer.body);
    }

    #[test]
    fn a_scrape_has_the_type_that_prometheus_insists_on() {
        let answer = ask(|_| {}, "GET", "/metrics");
        assert_eq!((answer.status, answer.content_type.as_str()), (200, metrics::CONTENT_TYPE));
        assert!(answer.body.contains("retell_bridge_journal_poisoned 0"), "{}", answer.body);
    }

    #[test]
    fn there_is_nothing_else() {
        for path in ["/", "/webhook", "/metrics/x"] {
            assert_eq!(ask(|_| {}, "GET", path).status, 404, "{path}");
        }
        assert_eq!(ask(|_| {}, "POST", "/metrics").status, 405);
    }
}
