//! The only place where an error becomes a response.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName},
};
use http_body::{Body, Frame, SizeHint};
use mesh_balance::NoEndpoint;
use mesh_core::{BoxError, Fault, Head, RetrySkipped};
use mesh_retry::{Exhausted, MESH_NO_RETRY};
use mesh_timeout::Elapsed;
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use pin_project_lite::pin_project;
use std::{
    borrow::Cow,
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// What went wrong, in words; Linkerd's name.
pub(crate) const ERROR: HeaderName = HeaderName::from_static("l5d-proxy-error");
/// What went wrong, in one word: [`Fault::as_str`].
pub(crate) const REASON: HeaderName = HeaderName::from_static("mesh-reason");
/// Asks the caller's proxy to close its connection, too; Linkerd's name.
pub(crate) const CLOSE: HeaderName = HeaderName::from_static("l5d-proxy-connection");

/// A row of the table: what a reason becomes.
struct Row {
    status: StatusCode,
    grpc: u16,
    /// Whether an HTTP/1 connection ends with it, as in Linkerd: to the caller, the mesh then
    /// looks like the peer that went away.
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

/// What is known of a request when it has failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Whether it was a gRPC call.
    pub(crate) grpc: bool,
    /// Whether its connection speaks HTTP/1.
    pub(crate) http1: bool,
}

impl Asked {
    pub(crate) fn of<B>(req: &Request<B>) -> Self {
        Self {
            grpc: Head::is_grpc(req),
            http1: req.version() != Version::HTTP_2,
        }
    }
}

/// A request that the proxy itself refuses, with the status it deserves.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self { status, text }
    }

    /// The refusal that `error` is, or was caused by.
    fn of(error: &BoxError) -> Option<&Self> {
        let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
        while let Some(error) = next {
            if let Some(refusal) = error.downcast_ref() {
                return Some(refusal);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refusal {}

/// The response that stands for `error`.
pub(crate) fn error<B>(error: &BoxError, asked: Asked) -> Response<ResponseBody<B>> {
    if let Some(refusal) = Refusal::of(error) {
        let row = Row {
            status: refusal.status,
            grpc: 3,
            // The rest of such a request may never come.
            close: refusal.status == StatusCode::REQUEST_TIMEOUT,
        };
        return synthesize(&row, "refused", &refusal.text, asked);
    }
    let fault = Fault::of(&**error).unwrap_or(Fault::Unexpected);
    let text = match fault {
        Fault::Unexpected => "unexpected error".to_owned(),
        _ => format!("{error}{}", limit_of(error, fault)),
    };
    tracing::debug!(%error, reason = %fault, "request failed");
    let mut rsp = synthesize(&row(fault), fault.as_str(), &text, asked);
    if let Some(reason) = exhausted(error) {
        let reason = HeaderValue::from_static(reason.as_str());
        rsp.headers_mut().insert(MESH_NO_RETRY, reason);
    }
    rsp
}

/// The flag of the limit that `error` came from; a route's timeout has none.
fn limit_of(error: &BoxError, fault: Fault) -> &'static str {
    let none: Option<&NoEndpoint> = error.downcast_ref();
    match fault {
        Fault::ConnectTimeout => " (--connect-timeout)",
        Fault::NoEndpoint if none.is_some_and(NoEndpoint::is_crowded) => " (--max-waiting)",
        Fault::NoEndpoint => " (--fail-fast)",
        _ => "",
    }
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
    asked: Asked,
) -> Response<ResponseBody<B>> {
    let mut rsp = Response::new(ResponseBody::Empty);
    let headers = rsp.headers_mut();
    let text = HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unprintable"));
    if asked.grpc {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", row.grpc.into());
        headers.insert("grpc-message", percent_encoded(&text));
    } else {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.insert(ERROR, text);
    headers.insert(REASON, HeaderValue::from_static(reason));
    if row.close {
        headers.insert(CLOSE, HeaderValue::from_static("close"));
        if asked.http1 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    if !asked.grpc {
        *rsp.status_mut() = row.status;
    }
    rsp
}

/// What a peer's proxy said about an error is for this proxy, not for the application.
///
/// The reason stays: whoever debugs wants to know, and it says nothing about who failed.
pub(crate) fn strip(headers: &mut HeaderMap) -> bool {
    // Two searches that mostly find nothing cost more than a look at each name.
    if !headers.keys().any(|name| *name == CLOSE || *name == ERROR) {
        return false;
    }
    let close = headers.remove(CLOSE).is_some();
    if let Some(text) = headers.remove(ERROR) {
        tracing::info!(error = ?text, "the peer's proxy reports an error");
    }
    close
}

/// gRPC messages are percent-encoded (gRPC over HTTP/2, "Status-Message").
fn percent_encoded(text: &HeaderValue) -> HeaderValue {
    const RESERVED: &AsciiSet = &CONTROLS.add(b'%');
    let encoded = percent_encode(text.as_bytes(), RESERVED).to_string();
    HeaderValue::try_from(encoded).expect("printable ASCII")
}

/// A response whose body goes on as it comes.
pub(crate) fn stream<B>(rsp: Response<B>, asked: Asked) -> Response<ResponseBody<B>> {
    let is_grpc = |rsp: &Response<B>| {
        let kind = rsp.headers().get(CONTENT_TYPE);
        kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
    };
    // Trailers are no matter of course in HTTP/1.
    if asked.grpc && !asked.http1 && is_grpc(&rsp) {
        return rsp.map(|body| ResponseBody::Call { body });
    }
    rsp.map(|body| ResponseBody::Stream { body })
}

/// What ends a stream of gRPC whose time is over: the status that says so.
fn too_late(error: &BoxError) -> Option<HeaderMap> {
    if Fault::of(&**error) != Some(Fault::Elapsed) {
        return None;
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", row(Fault::Elapsed).grpc.into());
    let text = HeaderValue::from_str(&error.to_string()).ok()?;
    trailers.insert("grpc-message", percent_encoded(&text));
    Some(trailers)
}

pin_project! {
    /// The body of a response: the endpoint's, or none.
    #[project = ResponseBodyProj]
    #[derive(Debug)]
    pub(crate) enum ResponseBody<B> {
        Stream { #[pin] body: B },
        // Trailers say how it ended.
        Call { #[pin] body: B },
        Empty,
    }
}

/// Why a response body broke off.
///
/// A type of its own where hyper wants an error that becomes a boxed one: for a boxed one itself
/// the compiler cannot prove that a task may go to another thread.
#[derive(Debug)]
pub(crate) struct Broken(BoxError);

impl Broken {
    pub(crate) fn new(error: BoxError) -> Self {
        Self(error)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.as_mut().project() {
            ResponseBodyProj::Stream { body } => {
                body.poll_frame(cx).map_err(|error| Broken(error.into()))
            }
            ResponseBodyProj::Call { body } => {
                let polled = body.poll_frame(cx).map_err(Into::into);
                if let Poll::Ready(Some(Err(error))) = &polled
                    && let Some(trailers) = too_late(error)
                {
                    self.set(Self::Empty);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                polled.map_err(Broken)
            }
            ResponseBodyProj::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream { body } | Self::Call { body } => body.is_end_stream(),
            Self::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stream { body } | Self::Call { body } => body.size_hint(),
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn respond(fault: Fault, grpc: bool) -> Response<ResponseBody<String>> {
        let asked = Asked { grpc, http1: !grpc };
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
        let asked = Asked {
            grpc: false,
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
