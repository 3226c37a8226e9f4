//! Whose request it is: the peer's address, or what a trusted proxy says of it, and whether a source takes it.
//!
//! `X-Forwarded-For` is read from the right, over all headers of that name: what a trusted proxy wrote counts, what stands
//! left of the first address that is no trusted proxy was written by anyone. Never happens: a header sent by a peer that
//! is no trusted proxy is looked at.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Addresses of IPv4 that came through an IPv6 socket are those of IPv4.
pub(super) fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// The client's address; `None` where a trusted proxy said something that is no address.
pub(super) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    if !contains(trusted, peer) {
        return Some(peer);
    }
    let mut client = peer;
    // The map keeps the order of arrival; there are rarely more than one.
    let values: Vec<_> = headers.get_all(FORWARDED_FOR).collect();
    for value in values.into_iter().rev() {
        for entry in value.to_str().ok()?.rsplit(',') {
            client = parse(entry.trim())?;
            if !contains(trusted, client) {
                return Some(client);
            }
        }
    }
    Some(client)
}

/// Whether a list names the address.
pub(super) fn contains(list: &[IpNet], address: IpAddr) -> bool {
    list.iter().any(|net| net.contains(&address))
}

/// Whether a source with this list takes the address; an empty list takes all.
pub(super) fn is_allowed(allow: &[IpNet], address: Option<IpAddr>) -> bool {
    allow.is_empty() || address.is_some_and(|address| contains(allow, address))
}

/// An address, with or without a port; some proxies write one.
fn parse(entry: &str) -> Option<IpAddr> {
    let bare = entry.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(entry);
    let address = bare.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    address.map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn client_of(peer: &str, values: &[&str], trusted: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HeaderName::from_static(FORWARDED_FOR), HeaderValue::from_str(value).unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client(peer.parse().unwrap(), &headers, &trusted).map(|address| address.to_string())
    }

    #[test]
    fn a_peer_that_is_no_trusted_proxy_speaks_for_itself_alone() {
        assert_eq!(client_of("1.1.1.1", &["100.20.5.228"], &[]), Some("1.1.1.1".into()));
        assert_eq!(client_of("1.1.1.1", &["100.20.5.228"], &["10.0.0.0/8"]), Some("1.1.1.1".into()));
    }

    #[test]
    fn the_first_address_from_the_right_that_is_no_proxy_is_the_client() {
        let trusted = ["10.0.0.0/8"];
        for (values, client) in [
            (&["100.20.5.228"][..], "100.20.5.228"),
            (&["6.6.6.6, 100.20.5.228"], "100.20.5.228"),
            (&["6.6.6.6,100.20.5.228 , 10.0.0.2"], "100.20.5.228"),
            (&["100.20.5.228", "7.7.7.7"], "7.7.7.7"),
            (&["6.6.6.6, 100.20.5.228", "10.0.0.3"], "100.20.5.228"),
            (&["rubbish, 100.20.5.228"], "100.20.5.228"),
            (&["100.20.5.228:4711"], "100.20.5.228"),
            (&["[2001:db8::1]:443"], "2001:db8::1"),
            (&["[2001:db8::1]"], "2001:db8::1"),
            (&["::ffff:100.20.5.228"], "100.20.5.228"),
            (&["10.0.0.9"], "10.0.0.9"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(client_of("10.0.0.1", values, &trusted).as_deref(), Some(client), "{values:?}");
        }
    }

    #[test]
    fn what_is_no_address_is_nobody() {
        for values in [&["rubbish"][..], &[""], &["100.20.5.228, "], &["100.20.5.228", "unknown"], &["a\u{e9}"]] {
            assert_eq!(client_of("10.0.0.1", values, &["10.0.0.0/8"]), None, "{values:?}");
        }
        assert!(!is_allowed(&["0.0.0.0/0".parse().unwrap()], None));
        assert!(is_allowed(&[], None));
    }
}
