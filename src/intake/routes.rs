//! Which path is whose. A path counts as it was sent, without its query string, with or without one slash at its end.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ipnet::IpNet;

use super::keys::Keys;
use super::{SourceOptions, address};
use crate::event::Kind;

/// A source, ready to serve.
pub(super) struct Source {
    pub name: String,
    pub keys: Arc<Keys>,
    pub allow: Vec<IpNet>,
    pub signature_window_ms: u64,
    pub allow_unsigned: bool,
    call_inbound_answer: Bytes,
    chat_inbound_answer: Bytes,
}

impl Source {
    pub(super) fn new(options: SourceOptions, keys: Arc<Keys>) -> Source {
        let answer = |kind: Kind, value| Bytes::from(serde_json::json!({ kind.name(): value }).to_string());
        Source {
            name: options.name,
            keys,
            allow: options.allow,
            signature_window_ms: u64::try_from(options.signature_window.as_millis()).unwrap_or(u64::MAX),
            allow_unsigned: options.allow_unsigned,
            call_inbound_answer: answer(Kind::CallInbound, options.call_inbound_answer),
            chat_inbound_answer: answer(Kind::ChatInbound, options.chat_inbound_answer),
        }
    }

    /// The JSON that a kept event of this type is answered with; `None`: an empty body.
    pub(super) fn answer_body(&self, kind: Kind) -> Option<Bytes> {
        match kind {
            Kind::CallInbound => Some(self.call_inbound_answer.clone()),
            Kind::ChatInbound => Some(self.chat_inbound_answer.clone()),
            _ => None,
        }
    }
}

#[derive(Clone)]
pub(super) enum Route {
    Source(Arc<Source>),
    Health,
}

pub(super) struct Routes {
    by_path: HashMap<String, Route>,
    trusted_proxies: Vec<IpNet>,
    /// What any source allows; `None`: any address.
    allowed: Option<Vec<IpNet>>,
}

impl Routes {
    pub(super) fn new(
        sources: impl Iterator<Item = (String, Source)>,
        health_path: Option<String>,
        trusted_proxies: Vec<IpNet>,
    ) -> Routes {
        let mut allowed = Some(Vec::new());
        let mut by_path = HashMap::new();
        for (path, source) in sources {
            match &mut allowed {
                Some(nets) if !source.allow.is_empty() => nets.extend(&source.allow),
                _ => allowed = None,
            }
            by_path.insert(without_slash(&path).to_owned(), Route::Source(Arc::new(source)));
        }
        by_path.extend(health_path.map(|path| (without_slash(&path).to_owned(), Route::Health)));
        Routes { by_path, trusted_proxies, allowed }
    }

    pub(super) fn find(&self, path: &str) -> Option<&Route> {
        self.by_path.get(without_slash(path))
    }

    pub(super) fn trusted_proxies(&self) -> &[IpNet] {
        &self.trusted_proxies
    }

    /// Whether a request of this peer could be taken at all: it is allowed somewhere, or may speak for others.
    pub(super) fn is_welcome(&self, peer: std::net::IpAddr) -> bool {
        let allowed = self.allowed.as_deref();
        allowed.is_none_or(|nets| address::contains(nets, peer)) || address::contains(&self.trusted_proxies, peer)
    }
}

/// A path with and without a slash at its end is one path, in requests and so in the settings.
pub fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(allow: &[&str]) -> Source {
        let options = SourceOptions {
            name: "s".into(),
            path: "/s".into(),
            keys: Vec::new(),
            keys_file: None,
            allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
            signature_window: std::time::Duration::from_secs(300),
            call_inbound_answer: serde_json::json!({"dynamic_variables": {"a": "b"}}),
            chat_inbound_answer: serde_json::json!({}),
            allow_unsigned: false,
        };
        Source::new(options, Arc::new(Keys::new(Vec::new())))
    }

    fn routes(allow: &[&[&str]], proxies: &[&str]) -> Routes {
        let sources = allow.iter().enumerate().map(|(nth, allow)| (format!("/s{nth}"), source(allow)));
        Routes::new(sources, Some("/readyz".into()), proxies.iter().map(|net| net.parse().unwrap()).collect())
    }

    #[test]
    fn one_slash_at_the_end_does_not_count_and_everything_else_does() {
        let routes = routes(&[&[]], &[]);
        for (path, is_known) in [("/s0", true), ("/s0/", true), ("/s0//", false), ("/S0", false), ("/", false)] {
            assert_eq!(routes.find(path).is_some(), is_known, "{path}");
        }
        assert!(matches!(routes.find("/readyz/"), Some(Route::Health)));
    }

    #[test]
    fn a_peer_is_welcome_where_any_source_allows_it_or_it_is_a_proxy() {
        let peer = "100.20.5.228".parse().unwrap();
        assert!(routes(&[&["1.1.1.1/32"], &[]], &[]).is_welcome(peer));
        assert!(routes(&[&["1.1.1.1/32"], &["100.20.5.0/24"]], &[]).is_welcome(peer));
        assert!(routes(&[&["1.1.1.1/32"]], &["100.0.0.0/8"]).is_welcome(peer));
        assert!(!routes(&[&["1.1.1.1/32"]], &["10.0.0.0/8"]).is_welcome(peer));
    }

    #[test]
    fn the_inbound_answers_carry_the_configured_json_under_their_own_name() {
        let source = source(&[]);
        let text = source.answer_body(Kind::CallInbound).unwrap();
        assert_eq!(&text[..], br#"{"call_inbound":{"dynamic_variables":{"a":"b"}}}"#);
        assert_eq!(&source.answer_body(Kind::ChatInbound).unwrap()[..], br#"{"chat_inbound":{}}"#);
        assert_eq!(source.answer_body(Kind::CallEnded), None);
    }
}
