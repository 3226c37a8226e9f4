//! Which requests `dev --allow-unsigned` takes without a signature: those that someone at this very machine typed.

use std::net::IpAddr;

use actix_web::http::header::{self, HeaderMap};

use crate::signature;

/// Headers that a proxy, a tunnel or a web page adds: with any of them the request came from elsewhere.
const FROM_ELSEWHERE: [&str; 9] = [
    "forwarded",
    "via",
    "origin",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
];

/// Whether the request has no signature, comes from this machine and names it as its host, and shows no sign of having
/// been passed on.
pub(super) fn may_be_taken(peer: IpAddr, headers: &HeaderMap) -> bool {
    let is_unsigned = !headers.contains_key(signature::HEADER);
    let is_passed_on = FROM_ELSEWHERE.iter().any(|name| headers.contains_key(*name))
        || headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"));
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    peer.to_canonical().is_loopback() && is_unsigned && !is_passed_on && host.is_some_and(is_local)
}

fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn taken(headers: &[(&'static str, &str)]) -> bool {
        taken_from("127.0.0.1", headers)
    }

    fn taken_from(peer: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        }
        may_be_taken(peer.parse().unwrap(), &map)
    }

    #[test]
    fn a_request_from_another_machine_is_never_taken_whatever_host_it_names() {
        for (peer, is_taken) in [("127.0.0.1", true), ("::1", true), ("::ffff:127.0.0.1", true), ("192.0.2.1", false)] {
            assert_eq!(taken_from(peer, &[("host", "localhost:8080")]), is_taken, "{peer}");
        }
    }

    #[test]
    fn a_local_host_is_this_machine_by_name_or_address() {
        for host in ["localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8080"] {
            assert!(taken(&[("host", host)]), "{host}");
        }
        for host in
            ["", "example.org", "localhost.example.org", "127.0.0.1.nip.io:80", "::1", "127.0.0.2", "localhost:"]
        {
            assert!(!taken(&[("host", host)]), "{host}");
        }
        assert!(!taken(&[]));
    }

    #[test]
    fn a_signature_or_any_sign_of_a_proxy_bars_it() {
        for name in FROM_ELSEWHERE.into_iter().chain(["x-forwarded-anything", signature::HEADER]) {
            assert!(!taken(&[("host", "localhost"), (name, "")]), "{name}");
        }
    }
}
