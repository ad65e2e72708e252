//! The last frame of a body, as the trailers of gRPC that it stands for.

use super::json;
use http::{HeaderMap, HeaderName, HeaderValue};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Trailers that layers look at; others are left out.
const KNOWN: [HeaderName; 3] = [
    STATUS,
    MESSAGE,
    HeaderName::from_static("grpc-retry-pushback-ms"),
];

/// The trailers in the last frame of gRPC-web: lines as in the head of an HTTP/1 message.
pub(super) fn grpc_web(block: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in block.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else {
            continue;
        };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let known = |known: &&HeaderName| name.eq_ignore_ascii_case(known.as_str().as_bytes());
        if let Some(name) = KNOWN.iter().find(known)
            && let Ok(value) = HeaderValue::from_bytes(value)
            && !trailers.contains_key(name)
        {
            trailers.insert(name, value);
        }
    }
    trailers
}

/// The trailers that stand for the last frame of a Connect stream, an object of JSON: the status of
/// gRPC by its name, and 0 without an error. `None` if it is no such object.
pub(super) fn connect(text: &[u8]) -> Option<HeaderMap> {
    let status = match json::member(text, "error")? {
        None | Some(b"null") => 0,
        // connect-go reads an error without a code as unknown.
        Some(error) => match json::member(error, "code")? {
            Some(code) => number(code),
            None => UNKNOWN,
        },
    };
    let mut trailers = HeaderMap::new();
    trailers.insert(STATUS, status.into());
    Some(trailers)
}

const UNKNOWN: u16 = 2;

/// The status of gRPC with this name, a string of JSON.
fn number(code: &[u8]) -> u16 {
    match code {
        br#""canceled""# => 1,
        br#""invalid_argument""# => 3,
        br#""deadline_exceeded""# => 4,
        br#""not_found""# => 5,
        br#""already_exists""# => 6,
        br#""permission_denied""# => 7,
        br#""resource_exhausted""# => 8,
        br#""failed_precondition""# => 9,
        br#""aborted""# => 10,
        br#""out_of_range""# => 11,
        br#""unimplemented""# => 12,
        br#""internal""# => 13,
        br#""unavailable""# => 14,
        br#""data_loss""# => 15,
        br#""unauthenticated""# => 16,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_of_grpc_web_are_read_however_they_are_written() {
        let block =
            b"GRPC-Status: 14\r\ngrpc-message:no%20way\r\nx: y\r\ngrpc-status: 0\nnonsense\r\n";
        let trailers = grpc_web(block);
        assert_eq!(trailers.len(), 2);
        assert_eq!(trailers[STATUS], "14");
        assert_eq!(trailers[MESSAGE], "no%20way");
        assert!(grpc_web(b"").is_empty());
    }

    #[test]
    fn the_end_of_a_connect_stream_has_a_status_of_grpc() {
        for (text, expected) in [
            (r#"{}"#, Some("0")),
            (r#" { "metadata": {"error": ["x"]} } "#, Some("0")),
            (r#"{"error": null}"#, Some("0")),
            (
                r#"{"error":{"code":"unavailable","message":"\"}"}}"#,
                Some("14"),
            ),
            (
                r#"{"metadata":{"a":["}"]},"error":{"message":"code","code":"internal"}}"#,
                Some("13"),
            ),
            (r#"{"error":{}}"#, Some("2")),
            (r#"{"error":{"code":"own"}}"#, Some("2")),
            (r#"{"error":{"code":14}}"#, Some("2")),
            ("", None),
            ("[]", None),
            (r#"{"error":{"code":"internal"}"#, None),
            (r#"{"error":"internal"}"#, None),
        ] {
            let trailers = connect(text.as_bytes());
            let status = trailers.as_ref().map(|trailers| &trailers[STATUS]);
            assert_eq!(
                status,
                expected.map(HeaderValue::from_static).as_ref(),
                "{text}"
            );
        }
    }
}
