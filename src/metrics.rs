//! Every metric: its name, meaning and labels. The only file that knows prometheus.
//!
//! In: facts from the parts, by the methods below. Out: the text of a scrape. Never happens: a label whose values a
//! sender can invent without bound (types are known ones or `other`, topics and sources are configured, the names of fields
//! that drift are plain ones and few), a value from a body.
//! Every label pair that is known at the start is there from the start, at zero: [`Metrics::expect_source`],
//! [`Metrics::expect_topic`], [`Metrics::expect_schema`].

mod refused;

use std::time::Duration;

use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub use refused::RefusedReason;

/// Content type of a scrape; Prometheus 3 refuses types it does not know.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX: &str = "retell_bridge";
/// Up to Retell's own time-out of 10 s, fine where a sync usually lies.
const ANSWER_SECONDS: [f64; 14] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 8.0, 10.0];
/// From a quiet publish to an outage of a day.
const PUBLISH_SECONDS: [f64; 14] =
    [0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 300.0, 3_600.0, 21_600.0, 86_400.0];
const SYNC_SECONDS: [f64; 13] = [0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The label `result` of `schema_checks_total`.
const SAME: &str = "same";
const DRIFT: &str = "drift";

/// One metric as documented: name without labels, its labels, its meaning.
#[derive(Debug, Clone)]
pub struct Described {
    pub name: String,
    pub labels: Vec<String>,
    pub help: String,
}

macro_rules! metrics {
    ($($field:ident: $type:ident, $name:literal, [$($label:literal),*] $(, $buckets:ident)? => $help:literal;)*) => {
        /// The registered metrics. Cheap to share behind an `Arc`.
        pub struct Metrics {
            registry: Registry,
            described: Vec<Described>,
            $($field: $type,)*
        }

        impl Metrics {
            /// Registers all of them in a registry of their own.
            pub fn new() -> Metrics {
                let registry = Registry::new();
                let mut described = Vec::new();
                $(
                    let labels: &[&str] = &[$($label),*];
                    let metric = metrics!(@make $type, Opts::new($name, $help).namespace(PREFIX), labels $(, $buckets)?);
                    registry.register(Box::new(metric.clone())).expect("each metric is registered once");
                    described.push(Described {
                        name: format!("{PREFIX}_{}", $name),
                        labels: labels.iter().map(|label| label.to_string()).collect(),
                        help: $help.to_owned(),
                    });
                    let $field = metric;
                )*
                let process = prometheus::process_collector::ProcessCollector::for_self();
                registry.register(Box::new(process)).expect("process metrics are registered once");
                let metrics = Metrics { registry, described, $($field,)* };
                // Nothing has failed to be read yet.
                metrics.reload_successful.set(1);
                metrics
            }
        }
    };
    (@make HistogramVec, $opts:expr, $labels:expr, $buckets:expr) => {
        HistogramVec::new(HistogramOpts { common_opts: $opts, buckets: $buckets.to_vec() }, $labels)
            .expect("the options are constants that a test builds")
    };
    (@make Histogram, $opts:expr, $labels:expr, $buckets:expr) => {{
        let _: &[&str] = $labels;
        Histogram::with_opts(HistogramOpts { common_opts: $opts, buckets: $buckets.to_vec() })
            .expect("the options are constants that a test builds")
    }};
    (@make IntCounter, $opts:expr, $labels:expr) => { metrics!(@plain IntCounter, $opts, $labels) };
    (@make IntGauge, $opts:expr, $labels:expr) => { metrics!(@plain IntGauge, $opts, $labels) };
    (@make Gauge, $opts:expr, $labels:expr) => { metrics!(@plain Gauge, $opts, $labels) };
    (@make $vec:ident, $opts:expr, $labels:expr) => {
        $vec::new($opts, $labels).expect("the options are constants that a test builds")
    };
    (@plain $type:ident, $opts:expr, $labels:expr) => {{
        let _: &[&str] = $labels;
        $type::with_opts($opts).expect("the options are constants that a test builds")
    }};
}

metrics! {
    received: IntCounterVec, "events_received_total", ["source", "type"] =>
        "Events kept, duplicates not counted; answered 2xx unless the sender left or the answer came too late. The type is a known one or `other`.";
    refused: IntCounterVec, "events_refused_total", ["source", "reason"] =>
        "Requests refused. Each with status 503 or 408 may be an event lost at the sender, which retries three times. The source is empty where it was not known yet.";
    duplicates: IntCounterVec, "events_duplicate_total", ["source"] =>
        "Requests answered as a duplicate of an event that is kept.";
    published: IntCounterVec, "events_published_total", ["topic"] =>
        "Deliveries confirmed by Kafka.";
    publish_errors: IntCounterVec, "publish_errors_total", ["topic", "reason"] =>
        "Deliveries that Kafka did not confirm; each is sent again or set aside.";
    dead_lettered: IntCounterVec, "events_dead_lettered_total", ["reason"] =>
        "Deliveries set aside because Kafka will never take them, or the record cannot be read.";
    answer_duration: HistogramVec, "answer_duration_seconds", ["source"], ANSWER_SECONDS =>
        "From the first byte of the request's head to the answer.";
    publish_duration: HistogramVec, "publish_duration_seconds", ["topic"], PUBLISH_SECONDS =>
        "From received to confirmed by Kafka.";
    last_event: GaugeVec, "last_event_timestamp_seconds", ["source"] =>
        "When the last event of the source was kept, Unix seconds; 0 before the first.";
    key_last_verified: GaugeVec, "key_last_verified_timestamp_seconds", ["source", "key"] =>
        "When a signature last held with the key, Unix seconds; the key is named by the first 8 hex digits of its SHA-256.";
    clock_skew: Gauge, "clock_skew_seconds", [] =>
        "This machine's clock minus the signed clock of the last verified event.";
    backlog_events: IntGaugeVec, "journal_backlog_events", ["topic"] =>
        "Deliveries that wait in the journal; up to ten seconds behind while Kafka takes some.";
    backlog_bytes: IntGauge, "journal_backlog_bytes", [] =>
        "Bytes in the journal from the oldest unsettled record on; as far behind.";
    oldest_unpublished: GaugeVec, "journal_oldest_unpublished_seconds", ["topic"] =>
        "Age of the oldest unsettled delivery; 0 when nothing waits.";
    room_bytes: IntGauge, "journal_room_bytes", [] =>
        "Bytes that the journal can still take.";
    room_seconds: Gauge, "journal_room_seconds", [] =>
        "How long the room lasts at the rate of the last minutes, were nothing published.";
    sync_duration: Histogram, "journal_sync_duration_seconds", [], SYNC_SECONDS =>
        "One fdatasync of a batch.";
    corrupt_bytes: IntCounter, "journal_corrupt_bytes_total", [] =>
        "Bytes found damaged and quarantined.";
    poisoned: IntGauge, "journal_poisoned", [] =>
        "1 after the first failed write or sync; the process is about to end.";
    schema_checks: IntCounterVec, "schema_checks_total", ["type", "result"] =>
        "Events that the drift watch held against the schema of their type: `same`, or `drift`, which changes nothing for the event.";
    schema_drift: IntCounterVec, "schema_drift_total", ["type", "problem", "field"] =>
        "Checked events in which a field is `unknown` to the schema or is a `mismatch` of its JSON type, by the field's path; `body`: the event as a whole; `other`: a field whose name is not shown.";
    schema_checks_skipped: IntCounterVec, "schema_checks_skipped_total", ["reason"] =>
        "Events whose turn it was and that were not checked, because the watch was `busy` or the body `too_large`.";
    lane_stalled: IntGaugeVec, "lane_stalled", ["topic"] =>
        "1 while the topic takes nothing.";
    kafka_up: IntGauge, "kafka_up", [] =>
        "1 while a broker answers.";
    reload_successful: IntGauge, "config_last_reload_successful", [] =>
        "0 while a file of keys, certificates or Kafka's credentials that changed cannot be believed; the last good ones stay in force.";
    certificate_expiry: IntGauge, "tls_certificate_expires_timestamp_seconds", [] =>
        "When the intake's certificate ends; 0 without TLS.";
    handshakes_failed: IntCounter, "tls_handshakes_failed_total", [] =>
        "Connections that came to no TLS: the peer left, speaks none, or does not believe the certificate.";
    connections: IntGauge, "connections", [] =>
        "Open connections at the intake.";
    build_info: IntGaugeVec, "build_info", ["version", "commit"] =>
        "Always 1; the build is in the labels.";
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl Metrics {
    /// A scrape in the text format 0.0.4.
    pub fn scrape(&self) -> String {
        TextEncoder::new().encode_to_string(&self.registry.gather()).expect("gathered metrics are encodable")
    }

    /// Every metric with its labels and meaning, for documents and checks.
    pub fn described(&self) -> &[Described] {
        &self.described
    }

    /// Puts every pair of a configured source at zero. `types` are the known types and `other`.
    pub fn expect_source<'t>(&self, source: &str, types: impl Iterator<Item = &'t str>) {
        types.for_each(|kind| self.received.with_label_values(&[source, kind]).inc_by(0));
        self.expect_refused(source);
        self.duplicates.with_label_values(&[source]).inc_by(0);
        self.last_event.with_label_values(&[source]).add(0.0);
        self.answer_duration.with_label_values(&[source]);
    }

    /// Puts every reason for a refusal at zero; the source is empty for what is refused before its source is known.
    pub fn expect_refused(&self, source: &str) {
        RefusedReason::ALL
            .iter()
            .for_each(|reason| self.refused.with_label_values(&[source, reason.label()]).inc_by(0));
    }

    /// Puts a key of a source at "never verified".
    pub fn expect_key(&self, source: &str, key_fingerprint: &str) {
        self.key_last_verified.with_label_values(&[source, key_fingerprint]).add(0.0);
    }

    /// Forgets a key that a source no longer has.
    pub fn forget_key(&self, source: &str, key_fingerprint: &str) {
        // The pair may never have been there.
        let _ = self.key_last_verified.remove_label_values(&[source, key_fingerprint]);
    }

    /// Puts every pair of a configured topic at zero; `error_reasons` is the closed list of publish errors.
    pub fn expect_topic(&self, topic: &str, error_reasons: &[&str]) {
        self.published.with_label_values(&[topic]).inc_by(0);
        error_reasons.iter().for_each(|reason| self.publish_errors.with_label_values(&[topic, reason]).inc_by(0));
        self.publish_duration.with_label_values(&[topic]);
        self.backlog_events.with_label_values(&[topic]).add(0);
        self.oldest_unpublished.with_label_values(&[topic]).add(0.0);
        self.lane_stalled.with_label_values(&[topic]).add(0);
    }

    /// Puts the reasons for dead letters at zero.
    pub fn expect_dead_letter_reasons(&self, reasons: &[&str]) {
        reasons.iter().for_each(|reason| self.dead_lettered.with_label_values(&[reason]).inc_by(0));
    }

    /// Puts what the drift watch counts of a type at zero; `drift` has each problem with the fields known at the start.
    pub fn expect_schema<'l>(&self, kind: &str, drift: impl Iterator<Item = (&'l str, &'l str)>) {
        [SAME, DRIFT].iter().for_each(|result| self.schema_checks.with_label_values(&[kind, result]).inc_by(0));
        drift.for_each(|(problem, field)| self.schema_drift.with_label_values(&[kind, problem, field]).inc_by(0));
    }

    /// Puts the reasons for which an event is not checked at zero.
    pub fn expect_schema_skips(&self, reasons: &[&str]) {
        reasons.iter().for_each(|reason| self.schema_checks_skipped.with_label_values(&[reason]).inc_by(0));
    }

    /// Names the build.
    pub fn set_build(&self, version: &str, commit: &str) {
        self.build_info.with_label_values(&[version, commit]).set(1);
    }

    /// An event was kept, at `now_ms`.
    pub fn event_received(&self, source: &str, kind: &str, now_ms: u64) {
        self.received.with_label_values(&[source, kind]).inc();
        self.last_event.with_label_values(&[source]).set(seconds(now_ms));
    }

    /// A request was refused.
    pub fn event_refused(&self, source: &str, reason: RefusedReason) {
        self.refused.with_label_values(&[source, reason.label()]).inc();
    }

    /// A request was answered as a duplicate.
    pub fn event_duplicate(&self, source: &str) {
        self.duplicates.with_label_values(&[source]).inc();
    }

    /// A request of a source was answered, `elapsed` after the first byte of its head.
    pub fn answered(&self, source: &str, elapsed: Duration) {
        self.answer_duration.with_label_values(&[source]).observe(elapsed.as_secs_f64());
    }

    /// A signature held with a key, at `now_ms`; the sender's signed clock said `clock_ms`.
    pub fn key_verified(&self, source: &str, key_fingerprint: &str, now_ms: u64, clock_ms: u64) {
        self.key_last_verified.with_label_values(&[source, key_fingerprint]).set(seconds(now_ms));
        self.clock_skew.set(seconds(now_ms) - seconds(clock_ms));
    }

    /// A delivery was confirmed, `elapsed` after its event was received.
    pub fn delivery_published(&self, topic: &str, elapsed: Duration) {
        self.published.with_label_values(&[topic]).inc();
        self.publish_duration.with_label_values(&[topic]).observe(elapsed.as_secs_f64());
    }

    /// A delivery failed.
    pub fn delivery_failed(&self, topic: &str, reason: &str) {
        self.publish_errors.with_label_values(&[topic, reason]).inc();
    }

    /// A delivery was set aside.
    pub fn delivery_dead_lettered(&self, reason: &str) {
        self.dead_lettered.with_label_values(&[reason]).inc();
    }

    /// An event was held against its schema.
    pub fn schema_checked(&self, kind: &str, differs: bool) {
        self.schema_checks.with_label_values(&[kind, if differs { DRIFT } else { SAME }]).inc();
    }

    /// A checked event differs in this field; the caller bounds the names.
    pub fn schema_drifted(&self, kind: &str, problem: &str, field: &str) {
        self.schema_drift.with_label_values(&[kind, problem, field]).inc();
    }

    /// An event was not checked.
    pub fn schema_check_skipped(&self, reason: &str) {
        self.schema_checks_skipped.with_label_values(&[reason]).inc();
    }

    /// What waits for a topic: how many, and how old the oldest is (0 when nothing waits).
    pub fn set_backlog(&self, topic: &str, events: u64, oldest_age: Duration) {
        self.backlog_events.with_label_values(&[topic]).set(saturated(events));
        self.oldest_unpublished.with_label_values(&[topic]).set(oldest_age.as_secs_f64());
    }

    /// Deliveries that wait, of all lanes together.
    pub fn backlog_events(&self, topics: &[String]) -> u64 {
        let waiting = |topic: &String| self.backlog_events.with_label_values(&[topic.as_str()]).get();
        topics.iter().map(|topic| u64::try_from(waiting(topic)).unwrap_or(0)).sum()
    }

    /// Bytes in the journal from the oldest unsettled record on.
    pub fn set_backlog_bytes(&self, bytes: u64) {
        self.backlog_bytes.set(saturated(bytes));
    }

    /// What the journal can still take.
    pub fn set_room(&self, bytes: u64, lasts: Duration) {
        self.room_bytes.set(saturated(bytes));
        self.room_seconds.set(lasts.as_secs_f64());
    }

    /// One sync of a batch.
    pub fn batch_synced(&self, elapsed: Duration) {
        self.sync_duration.observe(elapsed.as_secs_f64());
    }

    /// Bytes were found damaged.
    pub fn corrupt_bytes_found(&self, bytes: u64) {
        self.corrupt_bytes.inc_by(bytes);
    }

    /// Bytes found damaged so far.
    pub fn corrupt_bytes(&self) -> u64 {
        self.corrupt_bytes.get()
    }

    /// The journal is poisoned.
    pub fn set_journal_poisoned(&self) {
        self.poisoned.set(1);
    }

    /// A lane takes nothing, or takes records again.
    pub fn set_lane_stalled(&self, topic: &str, stalled: bool) {
        self.lane_stalled.with_label_values(&[topic]).set(i64::from(stalled));
    }

    /// A broker answers, or none does.
    pub fn set_kafka_up(&self, up: bool) {
        self.kafka_up.set(i64::from(up));
    }

    /// The last reading of a changed key or certificate file went well, or did not.
    pub fn set_reload_successful(&self, successful: bool) {
        self.reload_successful.set(i64::from(successful));
    }

    /// The intake's certificate is valid until then, Unix seconds.
    pub fn set_certificate_expiry(&self, expires_at: i64) {
        self.certificate_expiry.set(expires_at);
    }

    /// A connection came to no TLS.
    pub fn handshake_failed(&self) {
        self.handshakes_failed.inc();
    }

    /// Open connections at the intake.
    pub fn set_connections(&self, open: usize) {
        self.connections.set(saturated(open as u64));
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn saturated(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_a_source_and_a_topic_is_there_from_the_start() {
        let metrics = Metrics::new();
        metrics.expect_source("default", ["call_ended", "other"].into_iter());
        metrics.expect_topic("retell.call_ended", &["timed_out"]);
        let text = metrics.scrape();
        for line in [
            r#"retell_bridge_events_received_total{source="default",type="other"} 0"#,
            r#"retell_bridge_events_refused_total{reason="no_room",source="default"} 0"#,
            r#"retell_bridge_publish_errors_total{reason="timed_out",topic="retell.call_ended"} 0"#,
            r#"retell_bridge_lane_stalled{topic="retell.call_ended"} 0"#,
            r#"retell_bridge_journal_poisoned 0"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.contains("process_resident_memory_bytes"));
    }

    #[test]
    fn a_fact_shows_in_the_next_scrape() {
        let metrics = Metrics::new();
        metrics.event_received("default", "call_ended", 1_500);
        metrics.set_room(10_000_000_000, Duration::from_secs(60));
        let text = metrics.scrape();
        assert!(text.contains(r#"last_event_timestamp_seconds{source="default"} 1.5"#), "{text}");
        assert!(text.contains("journal_room_bytes 10000000000"));
    }
}
