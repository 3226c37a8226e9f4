//! A webhook handler as one writes it with actix-web and rdkafka: check the signature, read type and call id, produce,
//! answer. No journal. `MODE=wait` answers when Kafka has confirmed, `MODE=once` when the client's queue has the record.

use std::env;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use hmac::{Hmac, KeyInit, Mac};
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use serde::Deserialize;
use sha2::Sha256;

#[derive(Deserialize)]
struct Webhook {
    event: String,
    call: Call,
}

#[derive(Deserialize)]
struct Call {
    call_id: String,
}

struct State {
    api_key: String,
    prefix: String,
    waits: bool,
    producer: FutureProducer,
}

async fn webhook(request: HttpRequest, body: web::Bytes, state: web::Data<State>) -> HttpResponse {
    let signature = request.headers().get("x-retell-signature").and_then(|value| value.to_str().ok());
    if !signature.is_some_and(|signature| is_valid(&state.api_key, &body, signature)) {
        return HttpResponse::Unauthorized().finish();
    }
    let Ok(webhook) = serde_json::from_slice::<Webhook>(&body) else {
        return HttpResponse::BadRequest().finish();
    };
    let topic = format!("{}{}", state.prefix, webhook.event);
    let record = FutureRecord::to(&topic).key(&webhook.call.call_id).payload(&body[..]);
    if state.waits {
        match state.producer.send(record, Duration::from_secs(8)).await {
            Ok(_) => HttpResponse::NoContent().finish(),
            Err(_) => HttpResponse::ServiceUnavailable().finish(),
        }
    } else {
        match state.producer.send_result(record) {
            Ok(_) => HttpResponse::NoContent().finish(),
            Err(_) => HttpResponse::ServiceUnavailable().finish(),
        }
    }
}

/// `v=<ms>,d=<hex>`: HMAC-SHA256 over body and v, not older than five minutes.
fn is_valid(api_key: &str, body: &[u8], signature: &str) -> bool {
    let Some((v, d)) = signature.strip_prefix("v=").and_then(|rest| rest.split_once(",d=")) else { return false };
    let Ok(clock) = v.parse::<u128>() else { return false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let mut mac = Hmac::<Sha256>::new_from_slice(api_key.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body);
    mac.update(v.as_bytes());
    let digest: Option<Vec<u8>> =
        (0..d.len() / 2).map(|at| u8::from_str_radix(d.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    now.abs_diff(clock) <= 300_000 && digest.is_some_and(|digest| mac.verify_slice(&digest).is_ok())
}

fn setting(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set"))
}

fn main() -> std::io::Result<()> {
    let waits = setting("MODE") == "wait";
    // Whoever waits for it has left after ten seconds; what was acknowledged already is tried as long as it comes.
    let timeout = if waits { "8000" } else { "300000" };
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", setting("KAFKA_BROKERS"))
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "2")
        .set("message.max.bytes", "4194304")
        .set("message.timeout.ms", timeout)
        .create()
        .expect("the producer's settings are valid");
    let state =
        web::Data::new(State { api_key: setting("RETELL_API_KEY"), prefix: setting("TOPIC_PREFIX"), waits, producer });
    let app = move || {
        App::new()
            .app_data(state.clone())
            .app_data(web::PayloadConfig::new(8 << 20))
            .route("/webhook", web::post().to(webhook))
    };
    let port: u16 = setting("PORT").parse().expect("PORT is a number");
    actix_web::rt::System::new().block_on(HttpServer::new(app).bind(("127.0.0.1", port))?.run())
}
