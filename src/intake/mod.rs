//! The intake: contract (draft of the lead; its author completes it).
//!
//! In: HTTP requests. Out: answers (`surface.md`), and through `event` and `journal` what was kept.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::signature::ApiKey;

/// How the intake behaves; made by `config`, checked there.
#[derive(Debug, Clone)]
pub struct Options {
    pub sources: Vec<SourceOptions>,
    pub body_max_bytes: usize,
    pub in_flight_max_bytes: usize,
    pub connections_max: usize,
    /// From the first byte of the head to the answer.
    pub answer_within: Duration,
    /// Who may set X-Forwarded-For.
    pub trusted_proxies: Vec<IpNet>,
    /// Answers the same as the admin listener's /readyz, empty; `None`: no such path.
    pub health_path: Option<String>,
    pub duplicates_window: Duration,
    pub duplicates_events_max: usize,
}

/// One source.
#[derive(Debug, Clone)]
pub struct SourceOptions {
    pub name: String,
    /// Begins with `/`, no trailing slash.
    pub path: String,
    /// Keys from the settings.
    pub keys: Vec<ApiKey>,
    /// One key a line; re-read when it changes.
    pub keys_file: Option<PathBuf>,
    /// Empty: any address.
    pub allow: Vec<IpNet>,
    pub signature_window: Duration,
    /// JSON values answered to the inbound events: `{"call_inbound": <this>}`.
    pub call_inbound_answer: serde_json::Value,
    pub chat_inbound_answer: serde_json::Value,
    /// Only `dev` sets it: a request without signature is kept as `unsigned` (local Host, no forwarding headers).
    pub allow_unsigned: bool,
}
