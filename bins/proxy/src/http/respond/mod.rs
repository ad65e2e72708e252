//! The only place where an error becomes a response.

mod body;
mod protocol;

pub(crate) use self::{
    body::{Broken, ResponseBody, stream},
    protocol::CallProtocol,
};

use crate::http::headers;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName},
};
use mesh_balance::NoEndpoint;
use mesh_core::{BoxError, Fault, RetrySkipped};
use mesh_pool::{CallerFault, SendError};
use mesh_retry::{Exhausted, MESH_NO_RETRY};
use mesh_serve::Refusal;
use mesh_timeout::Elapsed;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use std::error::Error;

/// The error message; Linkerd's header.
pub(crate) const ERROR: HeaderName = HeaderName::from_static("l5d-proxy-error");
/// The kind of the error, in one word: [`Fault::as_str`].
pub(crate) const REASON: HeaderName = HeaderName::from_static("mesh-reason");
/// Asks the caller's proxy to close its connection, too; Linkerd's name.
pub(crate) const CLOSE: HeaderName = HeaderName::from_static("l5d-proxy-connection");

/// A row of the table: what a reason becomes.
struct Row {
    status: StatusCode,
    grpc: u16,
    /// True if the HTTP/1 connection closes with the response, as in Linkerd: to the caller, the
    /// mesh then looks like the peer that went away.
    close: bool,
}

/// Linkerd's table of statuses and codes, with our reasons.
fn row(fault: Fault) -> Row {
    let (status, grpc, close) = match fault {
        Fault::Elapsed => (StatusCode::GATEWAY_TIMEOUT, 4, true),
        Fault::NoEndpoint => (StatusCode::GATEWAY_TIMEOUT, 4, true),
        Fault::ConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, 4, true),
        Fault::Refused | Fault::NeverSent => (StatusCode::BAD_GATEWAY, 14, true),
        Fault::Reset | Fault::MaybeProcessed => (StatusCode::BAD_GATEWAY, 14, true),
        Fault::Protocol => (StatusCode::BAD_GATEWAY, 14, true),
        Fault::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, 14, true),
        Fault::Injected => (StatusCode::SERVICE_UNAVAILABLE, 9, false),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, 13, true),
    };
    Row {
        status,
        grpc,
        close,
    }
}

/// Properties of a request that shape its error response.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestKind {
    pub(crate) protocol: CallProtocol,
    /// True if its connection speaks HTTP/1.
    pub(crate) http1: bool,
}

impl RequestKind {
    pub(crate) fn of<B>(req: &Request<B>) -> Self {
        Self {
            protocol: CallProtocol::of(req),
            http1: req.version() != Version::HTTP_2,
        }
    }
}

/// The refusal that `error` is, or was caused by: of this proxy, or for the caller's own fault.
fn refusal_of(error: &BoxError) -> Option<Refusal> {
    let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        match error.downcast_ref() {
            Some(silent @ CallerFault::SilentBody(_)) => {
                let text = format!("{silent} (--body-gap)");
                // The rest of such a request may never come.
                return Some(Refusal::new(StatusCode::REQUEST_TIMEOUT, text).closing());
            }
            Some(CallerFault::DeadlinePassed) => return None,
            Some(fault) => return Some(Refusal::new(StatusCode::BAD_REQUEST, fault.to_string())),
            None => next = error.source(),
        }
    }
    None
}

/// The answer to an HTTP/1 request that could not even be read.
pub(crate) fn unreadable(status: &str, text: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status}\r\n{ERROR}: {text}\r\n{REASON}: refused\r\n\
         connection: close\r\ncontent-length: 0\r\n\r\n"
    )
    .into_bytes()
}

/// The response that stands for `error`.
pub(crate) fn error<B>(error: &BoxError, asked: RequestKind) -> Response<ResponseBody<B>> {
    if let Some(refusal) = refusal_of(error) {
        let row = Row {
            status: refusal.status(),
            grpc: 3,
            close: refusal.closes(),
        };
        return synthesize(&row, "refused", &refusal.to_string(), asked);
    }
    let fault = match is_late(error) {
        // To its caller it is what its own deadline would be.
        true => Fault::Elapsed,
        false => Fault::of(&**error).unwrap_or(Fault::Unexpected),
    };
    let text = match fault {
        Fault::Unexpected => "unexpected error".to_owned(),
        _ => format!("{error}{}", limit_of(error, fault)),
    };
    tracing::debug!(%error, reason = %fault, "request failed");
    let mut rsp = synthesize(&row(fault), fault.as_str(), &text, asked);
    let no_retry = match exhausted(error) {
        Some(reason) => Some(reason.as_str()),
        // It would fail again in the same way.
        None if fault == Fault::Protocol => Some(fault.as_str()),
        None => None,
    };
    if let Some(reason) = no_retry {
        rsp.headers_mut()
            .insert(MESH_NO_RETRY, HeaderValue::from_static(reason));
    }
    rsp
}

/// The flag of the limit that `error` came from; a route's timeout has none.
fn limit_of(error: &BoxError, fault: Fault) -> &'static str {
    let none: Option<&NoEndpoint> = error.downcast_ref();
    match fault {
        Fault::Protocol if is_head_too_large(error) => " (--max-head-bytes, --max-headers)",
        Fault::ConnectTimeout => " (--connect-timeout)",
        Fault::NoEndpoint if none.is_some_and(NoEndpoint::is_crowded) => " (--max-waiting)",
        Fault::NoEndpoint => " (--fail-fast)",
        _ => "",
    }
}

fn is_head_too_large(error: &BoxError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<SendError>() {
            return error.is_head_too_large();
        }
        next = error.source();
    }
    false
}

/// Returns true if the endpoint's proxy said that the caller's deadline had passed.
fn is_late(error: &BoxError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref::<CallerFault>() {
            return *fault == CallerFault::DeadlinePassed;
        }
        next = error.source();
    }
    false
}

/// Why callers must not go on with the retries that ended in `error`, if there were any.
fn exhausted(error: &BoxError) -> Option<RetrySkipped> {
    if let Some(exhausted) = Exhausted::of(&**error) {
        return Some(exhausted.reason());
    }
    let elapsed: &Elapsed = error.downcast_ref()?;
    elapsed.ends_retries().then_some(RetrySkipped::Limit)
}

fn synthesize<B>(
    row: &Row,
    reason: &'static str,
    text: &str,
    asked: RequestKind,
) -> Response<ResponseBody<B>> {
    let text = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unprintable"));
    let bytes = asked.protocol.error_body(row.grpc, &text);
    let length = bytes.len();
    let mut rsp = Response::new(ResponseBody::Full { bytes });
    let headers = rsp.headers_mut();
    if let Some(kind) = asked.protocol.content_type() {
        headers.insert(CONTENT_TYPE, kind);
    }
    if asked.protocol == CallProtocol::Grpc {
        headers.insert("grpc-status", row.grpc.into());
        headers.insert("grpc-message", percent_encoded(&text));
    } else {
        headers.insert(CONTENT_LENGTH, length.into());
    }
    headers.insert(ERROR, text);
    headers.insert(REASON, HeaderValue::from_static(reason));
    if row.close {
        headers.insert(CLOSE, HeaderValue::from_static("close"));
        if asked.http1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    if asked.protocol.has_http_status() {
        *rsp.status_mut() = row.status;
    }
    rsp
}

/// Removes the headers in which a peer's proxy describes an error to this proxy, and what an
/// application without a proxy says in their place. Returns true if the caller's connection is to
/// close, too.
///
/// The reason stays: it helps in debugging, and does not name the endpoint that failed.
pub(crate) fn strip(headers: &mut HeaderMap) -> bool {
    // Searches that mostly find nothing cost more than a look at each name.
    if !headers.keys().any(headers::is_between_proxies) {
        return false;
    }
    let close = headers.remove(CLOSE).is_some();
    if let Some(text) = headers.remove(ERROR) {
        tracing::info!(error = ?text, "the peer's proxy reports an error");
    }
    headers::strip_application(headers);
    close
}

/// gRPC messages are percent-encoded (gRPC over HTTP/2, "Status-Message").
fn percent_encoded(text: &HeaderValue) -> HeaderValue {
    const RESERVED: &AsciiSet = &CONTROLS.add(b'%');
    let encoded = percent_encode(text.as_bytes(), RESERVED).to_string();
    HeaderValue::try_from(encoded).expect("printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(fault: Fault, grpc: bool) -> Response<ResponseBody<String>> {
        let protocol = match grpc {
            true => CallProtocol::Grpc,
            false => CallProtocol::Http,
        };
        let asked = RequestKind {
            protocol,
            http1: !grpc,
        };
        error(&BoxError::from(fault), asked)
    }

    #[test]
    fn each_reason_has_its_row() {
        for (fault, status, grpc) in [
            (Fault::Elapsed, 504, "4"),
            (Fault::NoEndpoint, 504, "4"),
            (Fault::ConnectTimeout, 504, "4"),
            (Fault::Refused, 502, "14"),
            (Fault::MaybeProcessed, 502, "14"),
            (Fault::Overloaded, 503, "14"),
            (Fault::Unexpected, 500, "13"),
        ] {
            let plain = respond(fault, false);
            assert_eq!(plain.status(), status);
            assert_eq!(plain.headers()[REASON], fault.as_str());
            assert_eq!(plain.headers()[CONTENT_LENGTH], "0");
            assert_eq!(plain.headers()[CONNECTION], "close");

            let called = respond(fault, true);
            assert_eq!(called.status(), 200);
            assert_eq!(called.headers()["grpc-status"], grpc);
            assert_eq!(called.headers()[CONTENT_TYPE], "application/grpc");
            assert!(!called.headers().contains_key(CONNECTION));
        }
    }

    #[test]
    fn an_unknown_error_does_not_tell_its_inside() {
        let asked = RequestKind {
            protocol: CallProtocol::Http,
            http1: true,
        };
        let rsp = error::<String>(&"secret".into(), asked);
        assert_eq!(rsp.headers()[ERROR], "unexpected error");
    }

    #[test]
    fn grpc_messages_are_percent_encoded() {
        let text = HeaderValue::from_str("50% of ä").unwrap();
        assert_eq!(percent_encoded(&text), "50%25 of %C3%A4");
    }
}
