//! Which headers end at the proxy.

use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{CONNECTION, TE, TRANSFER_ENCODING, UPGRADE},
};
use mesh_timeout::MESH_DEADLINE;

/// The apex that the caller's proxy found, `fqdn:port`: the inbound side's route lookup.
pub(crate) const CANONICAL: HeaderName = HeaderName::from_static("l5d-dst-canonical");

pub(crate) const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Headers that proxies send to each other; an application cannot set them.
const BETWEEN_PROXIES: &str = "l5d-";

/// Headers within the mesh: applications pass them on from the request that they serve.
const WITHIN_MESH: &str = "mesh-";

/// The kinds of headers that a request has: one look at each name is cheaper than a search for
/// each kind, as most searches find nothing.
#[derive(Debug, Default)]
struct Found {
    hop_by_hop: bool,
    between_proxies: bool,
    within_mesh: bool,
    deadline: bool,
}

impl Found {
    fn among(headers: &HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            match name.as_str() {
                name if is_hop_by_hop(name, value) => found.hop_by_hop = true,
                "grpc-timeout" => found.deadline = true,
                name if name.starts_with(WITHIN_MESH) => {
                    found.within_mesh = true;
                    found.deadline |= MESH_DEADLINE == *name;
                }
                name if name.starts_with(BETWEEN_PROXIES) => found.between_proxies = true,
                _ => {}
            }
        }
        found
    }
}

/// Removes from a request what ends here: the headers of its connection, and what its sender may
/// not say, who is an application or, `outside`, nobody of the mesh. Returns true if it might state
/// a deadline.
///
/// An upgrade in HTTP/1.0 goes, too: RFC 9110, 7.8 has it ignored.
pub(crate) fn strip_request(headers: &mut HeaderMap, version: Version, outside: bool) -> bool {
    let found = Found::among(headers);
    if outside && (found.within_mesh || found.between_proxies) {
        strip_prefixed(headers, &[BETWEEN_PROXIES, WITHIN_MESH]);
    } else if found.between_proxies {
        strip_application(headers);
    }
    if found.hop_by_hop {
        let upgrade = upgrade(headers).filter(|_| version != Version::HTTP_10);
        strip_connection(headers, upgrade);
    }
    found.deadline
}

/// Removes the headers of one connection (RFC 9110, 7.6.1), all but those of an upgrade and
/// `te: trailers`, which gRPC needs.
///
/// `Transfer-Encoding` goes, too: each connection frames messages for itself.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let mut all = headers.iter();
    if all.any(|(name, value)| is_hop_by_hop(name.as_str(), value)) {
        let upgrade = upgrade(headers);
        strip_connection(headers, upgrade);
    }
}

/// Removes the headers of one connection, all but those of `upgrade`.
fn strip_connection(headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
    if headers.contains_key(CONNECTION) {
        strip_listed(headers);
    }
    headers.remove(KEEP_ALIVE);
    headers.remove(PROXY_CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    if let Some(te) = headers.get(TE)
        && te != "trailers"
    {
        let trailers = lists(headers, &TE, "trailers");
        headers.remove(TE);
        if trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
    }
    match upgrade {
        Some(protocol) => {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
        None => {
            headers.remove(UPGRADE);
        }
    }
}

/// Returns true if the header is hop-by-hop, or its value may make it so.
fn is_hop_by_hop(name: &str, value: &HeaderValue) -> bool {
    match name {
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => true,
        // Every call of gRPC says that it takes trailers.
        "te" => value != "trailers",
        _ => false,
    }
}

/// Returns true for a header that only proxies may set.
pub(crate) fn is_between_proxies(name: &HeaderName) -> bool {
    name.as_str().starts_with(BETWEEN_PROXIES)
}

/// Removes what an application may not say.
pub(crate) fn strip_application(headers: &mut HeaderMap) {
    strip_prefixed(headers, &[BETWEEN_PROXIES]);
}

/// Removes from trailers what may only stand in a head: headers of the mesh and of one connection
/// (RFC 9110, 6.5.1).
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip_prefixed(trailers, &[BETWEEN_PROXIES, WITHIN_MESH]);
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        trailers.remove(name);
    }
}

fn strip_prefixed(headers: &mut HeaderMap, prefixes: &[&str]) {
    let is_ours = |name: &&HeaderName| {
        let name = name.as_str();
        prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    while let Some(name) = headers.keys().find(is_ours).cloned() {
        headers.remove(name);
    }
}

/// The protocols that the sender of these headers asks for, or the one that it agrees to.
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let first = headers.get(UPGRADE)?;
    if !lists(headers, &CONNECTION, "upgrade") {
        return None;
    }
    let all = || headers.get_all(UPGRADE).iter();
    let mut words = all().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    if all().nth(1).is_none() && !words.any(is_h2c) {
        return Some(first.clone());
    }
    // h2c is between neighbours, and requests would pass in it that nobody has looked at; prior
    // knowledge is how the mesh speaks HTTP/2.
    let words = all().flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let others: Vec<_> = words
        .map(<[u8]>::trim_ascii)
        .filter(|word| !word.is_empty() && !is_h2c(word))
        .collect();
    let others = (!others.is_empty()).then(|| others.join(&b", "[..]))?;
    HeaderValue::from_bytes(&others).ok()
}

/// Returns true if a protocol is HTTP/2 without TLS, of any version.
fn is_h2c(word: &[u8]) -> bool {
    let name = word.split(|b| *b == b'/').next().unwrap_or(word);
    name.trim_ascii().eq_ignore_ascii_case(b"h2c")
}

/// Removes `Connection` and the headers that it names.
fn strip_listed(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // Whoever names these wants to change what the message means, not its connection.
        .filter(|name| !matches!(name.as_str(), "host" | "content-length" | "te" | "upgrade"))
        .collect();
    for name in listed {
        headers.remove(name);
    }
    headers.remove(CONNECTION);
}

/// Returns true if the comma-separated header `name` lists `word`.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            )
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn headers_of_the_connection_end_here() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("connection", "x-other"),
            ("x-secret", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "gzip, trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("te", "trailers"), ("accept", "*/*")]));
    }

    #[test]
    fn an_upgrade_passes_with_nothing_else() {
        let mut map = headers(&[
            ("connection", "keep-alive, Upgrade, x"),
            ("x", "1"),
            ("upgrade", "websocket"),
        ]);
        strip_hop_by_hop(&mut map);
        let expected = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        assert_eq!(map, expected);
    }

    #[test]
    fn h2c_is_taken_out_of_whatever_it_is_hidden_in() {
        for (asked, passes) in [
            (&["h2c"][..], None),
            (&[" H2C "], None),
            (&["h2c,h2c/1"], None),
            (&["websocket, h2c"], Some("websocket")),
            (&["websocket", "h2c"], Some("websocket")),
            (&["h2c", "websocket, a/1"], Some("websocket, a/1")),
            (&["websocket,a/1"], Some("websocket,a/1")),
            (&["h2cc"], Some("h2cc")),
        ] {
            let mut map = headers(&[("connection", "upgrade, http2-settings")]);
            map.insert(
                "http2-settings",
                HeaderValue::from_static("AAMAAABkAAQAAP__"),
            );
            for value in asked {
                map.append(UPGRADE, HeaderValue::from_static(value));
            }
            strip_hop_by_hop(&mut map);
            let value = map.get(UPGRADE).map(|value| value.to_str().unwrap());
            assert_eq!(value, passes, "{asked:?}");
            assert!(!map.contains_key("http2-settings"));
        }
    }

    #[test]
    fn host_cannot_be_declared_a_header_of_the_connection() {
        let mut map = headers(&[
            ("host", "a"),
            ("content-length", "3"),
            ("connection", "host, content-length"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("host", "a"), ("content-length", "3")]));
    }

    #[test]
    fn a_deadline_is_noticed_among_what_goes() {
        for name in ["grpc-timeout", "mesh-deadline"] {
            let said = [("te", "gzip"), (name, "1S"), ("l5d-x", ""), ("mesh-x", "")];
            let mut map = headers(&said);
            assert!(strip_request(&mut map, Version::HTTP_11, false));
            assert_eq!(map, headers(&[(name, "1S"), ("mesh-x", "")]));
        }
    }

    #[test]
    fn what_is_ours_is_not_believed_from_others() {
        let mut map = headers(&[
            ("l5d-dst-canonical", "a:1"),
            ("l5d-dst-canonical", "b:1"),
            ("mesh-attempt", "2"),
            ("meshed", "kept"),
        ]);
        let mut response = map.clone();
        strip_application(&mut response);
        assert!(!strip_request(&mut map, Version::HTTP_11, false));
        let within = headers(&[("mesh-attempt", "2"), ("meshed", "kept")]);
        assert_eq!((&map, &response), (&within, &within));
        strip_request(&mut map, Version::HTTP_11, true);
        assert_eq!(map, headers(&[("meshed", "kept")]));
    }

    #[test]
    fn trailers_have_nothing_to_say_of_mesh_or_connection() {
        let mut map = headers(&[
            ("grpc-status", "0"),
            ("l5d-proxy-error", "x"),
            ("mesh-reason", "x"),
            ("mesh-reason", "y"),
            ("connection", "close"),
            ("te", "trailers"),
        ]);
        strip_trailers(&mut map);
        assert_eq!(map, headers(&[("grpc-status", "0")]));
    }

    #[test]
    fn http_1_0_has_no_upgrades() {
        for (version, passes) in [(Version::HTTP_10, false), (Version::HTTP_11, true)] {
            let mut map = headers(&[("connection", "upgrade"), ("upgrade", "websocket")]);
            strip_request(&mut map, version, false);
            assert_eq!(map.len(), if passes { 2 } else { 0 }, "{version:?}");
        }
    }
}
