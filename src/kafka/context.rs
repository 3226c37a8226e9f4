//! What librdkafka calls back: receipts, errors, log lines. One context serves one client; all clients of the bridge
//! share one [`Reach`].

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Message};

use super::errors;
use super::trouble::{Kind, Trouble};
use crate::publisher::Receipt;

/// An error that repeats is told again after this long.
const TELL_AGAIN_AFTER_SECONDS: u64 = 300;

/// librdkafka's words for [`Code::GaplessGuarantee`].
const GAPLESS: &str = "Gap-less ordering would not be guaranteed";

/// Whether Kafka can be reached, as all clients together know it.
pub(super) struct Reach {
    up: AtomicBool,
    began: Instant,
    /// When trouble with TLS or credentials was last told, seconds since `began` plus one.
    told: AtomicU64,
    /// What stood between a client and a broker last.
    trouble: Mutex<Option<Trouble>>,
}

impl Reach {
    pub fn new() -> Reach {
        let (up, told) = (AtomicBool::new(false), AtomicU64::new(0));
        Reach { up, began: Instant::now(), told, trouble: Mutex::default() }
    }

    /// What stands between a client and a broker, since one was last reached.
    pub fn trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Trouble that lasts says more than a broken connection; each of both more than that all brokers are down, which
    /// follows from it.
    fn note(&self, trouble: Trouble, follows: bool) {
        let mut noted = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if follows && noted.is_some() {
            return;
        }
        if trouble.kind.is_lasting() || !noted.as_ref().is_some_and(|noted| noted.kind.is_lasting()) {
            *noted = Some(trouble);
        }
    }

    pub fn is_up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    pub fn set(&self, up: bool) {
        self.up.store(up, Ordering::Release);
        if up {
            *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Whether trouble is to be told now.
    fn tells(&self) -> bool {
        let now = self.began.elapsed().as_secs() + 1;
        let told = self.told.load(Ordering::Relaxed);
        let due = told == 0 || now >= told + TELL_AGAIN_AFTER_SECONDS;
        due && self.told.compare_exchange(told, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// See the module.
pub(super) struct Context {
    reach: Arc<Reach>,
    receipts: Mutex<Vec<Receipt>>,
    /// Values that must not show in a log line.
    secrets: Vec<String>,
}

impl Context {
    pub fn new(reach: &Arc<Reach>, secrets: Vec<String>) -> Context {
        Context { reach: Arc::clone(reach), receipts: Mutex::default(), secrets }
    }

    /// Gives the receipts that came.
    pub fn take(&self, receipts: &mut Vec<Receipt>) {
        receipts.append(&mut self.receipts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn clean(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let text = self.clean(message);
        match level {
            // At every start of a producer, of a property that the bridge sets itself and has been proven with.
            _ if facility == "CONFWARN" && message.contains("enable.gapless.guarantee") => {}
            // Connections that come and go are told by the publisher, once.
            _ if facility == "FAIL" => tracing::debug!(target: "librdkafka", facility, text, "librdkafka says"),
            // So ends a producer at each record that its topic refuses; the publisher tells which, and what follows.
            _ if facility == "FATAL" && message.contains(GAPLESS) => {
                tracing::debug!(target: "librdkafka", facility, text, "librdkafka says");
            }
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
                tracing::error!(target: "librdkafka", facility, text, "librdkafka says");
            }
            RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
                tracing::warn!(target: "librdkafka", facility, text, "librdkafka says");
            }
            _ => tracing::debug!(target: "librdkafka", facility, text, "librdkafka says"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let (code, text) = (error.rdkafka_error_code(), self.clean(reason));
        match code {
            Some(Code::Fatal) => return tracing::warn!(reason = text, "Kafka producer has ended"),
            Some(Code::AllBrokersDown) => self.reach.set(false),
            _ => {}
        }
        let kind = Kind::of(code, &text);
        if kind.is_lasting() && self.reach.tells() {
            tracing::error!(reason = text, cure = kind.cure(), "{}", kind.what());
        } else {
            tracing::debug!(reason = text, "Kafka client error");
        }
        self.reach.note(Trouble { kind, text }, code == Some(Code::AllBrokersDown));
    }
}

impl ProducerContext for Context {
    /// The token.
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, token: usize) {
        let outcome = match result {
            Ok(message) => {
                self.reach.set(true);
                errors::proven(message.offset())
            }
            Err((error, _)) => Err(errors::sorted(error.rdkafka_error_code().unwrap_or(Code::Unknown))),
        };
        let receipt = Receipt { token: token as u64, outcome };
        self.receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_by_which_a_routine_end_is_known_are_librdkafkas_own() {
        let words = KafkaError::MessageProduction(Code::GaplessGuarantee).to_string();
        assert!(words.contains(GAPLESS), "{words}");
    }
}
