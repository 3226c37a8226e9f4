//! actix-web that takes a body and answers 204: what HTTP costs; and the same with the signature's HMAC.
//!
//! In: `PORT`, `RETELL_API_KEY`. Out: a server that runs until it is killed. Never happens: anything kept.

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// As the bridge's.
const BODY_MAX_BYTES: usize = 8 << 20;

/// Runs it.
pub fn serve(checks: bool) -> std::io::Result<()> {
    let setting = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let port: u16 = setting("PORT").parse().expect("PORT is a number");
    let key = web::Data::new(checks.then(|| setting("RETELL_API_KEY")));
    let app = move || {
        let limits = web::PayloadConfig::new(BODY_MAX_BYTES);
        App::new().app_data(key.clone()).app_data(limits).route("/webhook", web::post().to(take))
    };
    actix_web::rt::System::new().block_on(HttpServer::new(app).bind(("127.0.0.1", port))?.run())
}

async fn take(request: HttpRequest, body: web::Bytes, key: web::Data<Option<String>>) -> HttpResponse {
    if let Some(key) = key.as_ref() {
        let header = request.headers().get("x-retell-signature").and_then(|value| value.to_str().ok());
        if !header.is_some_and(|header| holds(key, &body, header)) {
            return HttpResponse::Unauthorized().finish();
        }
    }
    HttpResponse::NoContent().finish()
}

fn holds(key: &str, body: &[u8], header: &str) -> bool {
    let Some((clock, digest)) = header.strip_prefix("v=").and_then(|rest| rest.split_once(",d=")) else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.update(clock.as_bytes());
    let digit = |at: usize| u8::from_str_radix(digest.get(2 * at..2 * at + 2)?, 16).ok();
    let digest: Option<Vec<u8>> = (0..digest.len() / 2).map(digit).collect();
    digest.is_some_and(|digest| mac.verify_slice(&digest).is_ok())
}
