//! Protocols of callers, and the form of an error in each.

use super::percent_encoded;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, header::CONTENT_TYPE};
use mesh_core::RpcKind;

/// The protocol of a call, and the encoding that its responses have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallProtocol {
    Http,
    Grpc,
    GrpcWeb,
    GrpcWebProto,
    GrpcWebText,
    /// A unary call of Connect, which looks like plain HTTP but for a header or a query.
    Connect,
    ConnectStreamJson,
    ConnectStreamProto,
}

impl CallProtocol {
    pub(crate) fn of<B>(req: &Request<B>) -> Self {
        let Some(kind) = req.headers().get(CONTENT_TYPE) else {
            return match *req.method() == Method::GET && is_connect(req.uri().query()) {
                true => Self::Connect,
                false => Self::Http,
            };
        };
        match kind.as_bytes().strip_prefix(b"application/") {
            Some(kind) if kind.starts_with(b"json") || kind.starts_with(b"proto") => {
                match req.headers().contains_key("connect-protocol-version") {
                    true => Self::Connect,
                    false => Self::Http,
                }
            }
            _ => Self::of_content_type(kind),
        }
    }

    /// The protocol of a response with these headers, if it has its status in its last frame.
    pub(crate) fn of_framed(response: &HeaderMap) -> Option<Self> {
        let protocol = Self::of_content_type(response.get(CONTENT_TYPE)?);
        protocol.last_flag().map(|_| protocol)
    }

    fn of_content_type(kind: &HeaderValue) -> Self {
        let kind = kind.as_bytes();
        let has = |prefix: &[u8]| kind.starts_with(prefix);
        match RpcKind::of_content_type(kind) {
            RpcKind::Grpc => Self::Grpc,
            RpcKind::GrpcWeb if has(b"application/grpc-web-text") => Self::GrpcWebText,
            RpcKind::GrpcWeb if has(b"application/grpc-web+proto") => Self::GrpcWebProto,
            RpcKind::GrpcWeb => Self::GrpcWeb,
            RpcKind::ConnectStream if has(b"application/connect+json") => Self::ConnectStreamJson,
            RpcKind::ConnectStream => Self::ConnectStreamProto,
            _ => Self::Http,
        }
    }

    /// The content type of an error; plain HTTP has none, as its body is empty.
    pub(crate) fn content_type(self) -> Option<HeaderValue> {
        let kind = match self {
            Self::Http => return None,
            Self::Grpc => "application/grpc",
            Self::GrpcWeb => "application/grpc-web",
            Self::GrpcWebProto => "application/grpc-web+proto",
            Self::GrpcWebText => "application/grpc-web-text+proto",
            Self::Connect => "application/json",
            Self::ConnectStreamJson => "application/connect+json",
            Self::ConnectStreamProto => "application/connect+proto",
        };
        Some(HeaderValue::from_static(kind))
    }

    /// Returns true if an error has the HTTP status that says what happened, not 200.
    pub(crate) fn has_http_status(self) -> bool {
        matches!(self, Self::Http | Self::Connect)
    }

    /// The flag of a last frame.
    fn last_flag(self) -> Option<u8> {
        match self {
            Self::GrpcWeb | Self::GrpcWebProto | Self::GrpcWebText => Some(0x80),
            Self::ConnectStreamJson | Self::ConnectStreamProto => Some(2),
            Self::Http | Self::Grpc | Self::Connect => None,
        }
    }

    /// The body of an error, which is all of a response or its last frame; of HTTP and gRPC it is
    /// empty.
    pub(crate) fn error_body(self, grpc: u16, text: &HeaderValue) -> Bytes {
        let said = match self {
            Self::Http | Self::Grpc => return Bytes::new(),
            Self::GrpcWeb | Self::GrpcWebProto | Self::GrpcWebText => {
                let message = percent_encoded(text);
                let mut trailers = format!("grpc-status: {grpc}\r\ngrpc-message: ").into_bytes();
                trailers.extend_from_slice(message.as_bytes());
                trailers.extend_from_slice(b"\r\n");
                trailers
            }
            Self::Connect => error(grpc, text).to_string().into_bytes(),
            Self::ConnectStreamJson | Self::ConnectStreamProto => {
                let end = serde_json::json!({ "error": error(grpc, text) });
                end.to_string().into_bytes()
            }
        };
        let Some(flag) = self.last_flag() else {
            return said.into();
        };
        let mut frame = BytesMut::with_capacity(said.len() + 5);
        frame.put_u8(flag);
        frame.put_u32(u32::try_from(said.len()).unwrap_or(u32::MAX));
        frame.put_slice(&said);
        match self {
            Self::GrpcWebText => BASE64_STANDARD.encode(frame).into(),
            _ => frame.freeze(),
        }
    }
}

/// Returns true for the query of a unary call of Connect with GET.
fn is_connect(query: Option<&str>) -> bool {
    let Some(query) = query else { return false };
    // Its parameters come in this order, or in that of the alphabet.
    let may_be = ["connect=", "base64=", "compression="];
    may_be.iter().any(|first| query.starts_with(first))
        && query.split('&').any(|pair| pair == "connect=v1")
}

/// An error of Connect.
fn error(grpc: u16, text: &HeaderValue) -> serde_json::Value {
    let code = match grpc {
        3 => "invalid_argument",
        4 => "deadline_exceeded",
        9 => "failed_precondition",
        13 => "internal",
        14 => "unavailable",
        _ => "unknown",
    };
    let message = String::from_utf8_lossy(text.as_bytes());
    serde_json::json!({ "code": code, "message": message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_core::StatusReader;

    #[test]
    fn a_request_tells_its_protocol() {
        for (method, uri, headers, expected) in [
            ("GET", "/", &[][..], CallProtocol::Http),
            (
                "GET",
                "/?connect=v1&encoding=json",
                &[],
                CallProtocol::Connect,
            ),
            ("GET", "/?base64=1&connect=v1", &[], CallProtocol::Connect),
            ("GET", "/?a=1&connect=v1", &[], CallProtocol::Http),
            ("POST", "/?connect=v1", &[], CallProtocol::Http),
            (
                "POST",
                "/",
                &[("content-type", "application/json")],
                CallProtocol::Http,
            ),
            (
                "POST",
                "/",
                &[
                    ("content-type", "application/json; charset=utf-8"),
                    ("connect-protocol-version", "1"),
                ],
                CallProtocol::Connect,
            ),
            (
                "POST",
                "/",
                &[("content-type", "application/connect+json")],
                CallProtocol::ConnectStreamJson,
            ),
            (
                "POST",
                "/",
                &[("content-type", "application/grpc+proto")],
                CallProtocol::Grpc,
            ),
            (
                "POST",
                "/",
                &[("content-type", "application/grpc-web-text")],
                CallProtocol::GrpcWebText,
            ),
        ] {
            let builder = Request::builder().method(method).uri(uri);
            let builder = headers.iter().fold(builder, |b, (k, v)| b.header(*k, *v));
            let req = builder.body(()).unwrap();
            assert_eq!(
                CallProtocol::of(&req),
                expected,
                "{method} {uri} {headers:?}"
            );
        }
    }

    #[test]
    fn a_last_frame_has_the_status_that_was_written() {
        let text = HeaderValue::from_static("no \"way\"");
        for protocol in [
            CallProtocol::GrpcWeb,
            CallProtocol::GrpcWebProto,
            CallProtocol::GrpcWebText,
            CallProtocol::ConnectStreamJson,
            CallProtocol::ConnectStreamProto,
        ] {
            let kind = (CONTENT_TYPE, protocol.content_type().unwrap());
            let headers = HeaderMap::from_iter([kind]);
            assert_eq!(CallProtocol::of_framed(&headers), Some(protocol));
            for grpc in [3, 4, 9, 13, 14] {
                let mut reader = StatusReader::of(&headers).unwrap();
                reader.read(&protocol.error_body(grpc, &text));
                let status = &reader.trailers().unwrap()["grpc-status"];
                assert_eq!(status, &grpc.to_string(), "{protocol:?}");
            }
        }
        let unary = CallProtocol::Connect.error_body(14, &text);
        let expected = r#"{"code":"unavailable","message":"no \"way\""}"#;
        assert_eq!(unary, expected);
    }
}
