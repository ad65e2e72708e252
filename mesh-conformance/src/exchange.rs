use crate::{
    Broken, Law, MockReply, StrictBody,
    drive::Frames,
    law::{BoxError, violated},
    permit::{Permit, Token},
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Uri, Version, request};
use http_body::{Body, SizeHint};
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// The number of a request, in its extensions and, in case those are lost, in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(pub(crate) u64);

impl RequestId {
    pub(crate) const HEADER: &str = "conformance-request";

    pub(crate) fn of<B>(req: &Request<B>) -> Option<u64> {
        let header = || req.headers().get(Self::HEADER)?.to_str().ok()?.parse().ok();
        let extension = req.extensions().get::<Self>().map(|id| id.0);
        extension.or_else(header)
    }
}

/// A request that a [`Mock`](crate::Mock) received.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ReceivedRequest {
    /// Its method.
    pub method: Method,
    /// Its target.
    pub uri: Uri,
    /// Its version.
    pub version: Version,
    /// Its headers.
    pub headers: HeaderMap,
    /// The number that the harness put into its extensions, if it is still there.
    pub id: Option<u64>,
    /// The body's size hint before it was read.
    pub size_hint: (u64, Option<u64>),
    /// The body's `is_end_stream` before it was read.
    pub is_end_stream: bool,
    /// All of its data.
    pub data: Bytes,
    /// The trailers.
    pub trailers: Option<HeaderMap>,
    /// True if the body ended with the injected error.
    pub broken: bool,
}

pub(crate) fn received_head<B: Body>(head: &request::Parts, body: &B) -> ReceivedRequest {
    ReceivedRequest {
        method: head.method.clone(),
        uri: head.uri.clone(),
        version: head.version,
        headers: head.headers.clone(),
        id: head.extensions.get::<RequestId>().map(|id| id.0),
        size_hint: bounds(&body.size_hint()),
        is_end_stream: body.is_end_stream(),
        data: Bytes::new(),
        trailers: None,
        broken: false,
    }
}

pub(crate) fn bounds(hint: &SizeHint) -> (u64, Option<u64>) {
    (hint.lower(), hint.upper())
}

/// The number of a response, in its extensions and in a header, like [`RequestId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ResponseId(pub(crate) u64);

impl ResponseId {
    pub(crate) const HEADER: &str = "conformance-response";
}

/// Response future of a [`Mock`](crate::Mock). It reads the request to its end, is pending twice,
/// and then answers.
pub struct MockFuture<B> {
    permit: Option<Permit>,
    token: Option<Token>,
    id: Option<u64>,
    seen: Option<ReceivedRequest>,
    body: Option<Pin<Box<B>>>,
    frames: Frames,
    answer: Option<MockReply>,
    asked: bool,
}

impl<B> MockFuture<B> {
    pub(crate) fn new(
        permit: Permit,
        token: Token,
        id: Option<u64>,
        seen: ReceivedRequest,
        body: B,
        answer: MockReply,
    ) -> Self {
        Self {
            permit: Some(permit),
            token: Some(token),
            id,
            seen: Some(seen),
            body: Some(Box::pin(body)),
            frames: Frames::default(),
            answer: Some(answer),
            asked: false,
        }
    }

    /// Ends the call, with a response or without.
    fn finish(&mut self, succeeded: bool) -> Option<Permit> {
        let permit = self.permit.take()?;
        let mut state = permit.0.lock();
        state.running -= 1;
        if let Some(sent) = self.id.and_then(|id| state.sent.get_mut(&id)) {
            sent.running -= 1;
            sent.succeeded |= succeeded;
        }
        drop(state);
        Some(permit)
    }
}

impl<B> Future for MockFuture<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<Response<StrictBody>, Broken>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.permit.is_none() {
            violated(
                Law::ResolvesOnce,
                "an inner future was polled after it had resolved",
            );
        }
        if let Some(body) = &mut this.body {
            let error = ready!(this.frames.poll_read(body.as_mut(), "the request body", cx));
            this.body = None;
            if let (Some(mut seen), Some(permit)) = (this.seen.take(), &this.permit) {
                seen.data = this.frames.data();
                seen.trailers = this.frames.trailers.take();
                seen.broken = error.is_some();
                permit.0.lock().seen.push(seen);
            }
        }
        if !this.asked {
            this.asked = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let answer = this.answer.take().unwrap_or(MockReply::Error);
        let succeeded = matches!(answer, MockReply::Response(status, _) if status < 500);
        let permit = this.finish(succeeded);
        let token = this.token.take();
        Poll::Ready(match answer {
            MockReply::Error => Err(Broken("a call")),
            MockReply::Response(status, shape) => {
                let body = StrictBody::with(&shape, "the response body", permit, token);
                let mut rsp = Response::new(body);
                *rsp.status_mut() = status.try_into().unwrap_or_default();
                *rsp.version_mut() = Version::HTTP_2;
                let id = this.id.unwrap_or_default();
                rsp.headers_mut().insert(ResponseId::HEADER, id.into());
                rsp.extensions_mut().insert(ResponseId(id));
                Ok(rsp)
            }
        })
    }
}

// The body is boxed, and no other field is pinned.
impl<B> Unpin for MockFuture<B> {}

impl<B> Drop for MockFuture<B> {
    fn drop(&mut self) {
        self.finish(false);
    }
}

impl<B> fmt::Debug for MockFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockFuture")
            .field("id", &self.id)
            .field("resolved", &self.permit.is_none())
            .finish_non_exhaustive()
    }
}
