//! Middleware to break laws with, and what it takes to see it caught.

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use mesh_conformance::{Broken, Conformance, Law, Mock, StrictBody};
use std::{
    error::Error,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower::Service;

pub(crate) type Req = Request<StrictBody>;
pub(crate) type Rsp = Response<StrictBody>;
pub(crate) type Future = Pin<Box<dyn std::future::Future<Output = Result<Rsp, Broken>>>>;
type Ready = fn(&mut Mock, &mut Context<'_>) -> Poll<Result<(), Broken>>;
type Call = Arc<dyn Fn(&mut Mock, Req) -> Future>;

/// Returns the harness's report of a subject that breaks `law`.
///
/// # Panics
///
/// If it finds nothing, or something else.
pub(crate) fn caught<F, S, RB>(law: Law, conformance: &Conformance<F>) -> String
where
    F: Fn(Mock) -> S,
    S: Service<Req, Response = Response<RB>> + Clone,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    RB: Body,
    RB::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let panic = catch_unwind(AssertUnwindSafe(|| conformance.check()))
        .expect_err("a broken law must be found");
    let message = panic
        .downcast::<String>()
        .expect("a violation is formatted");
    let expected = format!("broken law: a service {law}: ");
    assert!(message.starts_with(&expected), "{message}");
    *message
}

/// Middleware of which a test writes the part that is wrong.
#[derive(Clone)]
pub(crate) struct Sloppy {
    inner: Mock,
    ready: Ready,
    call: Call,
}

impl Sloppy {
    pub(crate) fn new(inner: Mock, call: impl Fn(&mut Mock, Req) -> Future + 'static) -> Self {
        Self {
            inner,
            ready: |inner, cx| Service::<Req>::poll_ready(inner, cx),
            call: Arc::new(call),
        }
    }

    pub(crate) fn ready(self, ready: Ready) -> Self {
        Self { ready, ..self }
    }
}

impl Service<Req> for Sloppy {
    type Response = Rsp;
    type Error = Broken;
    type Future = Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        (self.ready)(&mut self.inner, cx)
    }

    fn call(&mut self, req: Req) -> Future {
        (self.call)(&mut self.inner, req)
    }
}

/// The property that a wrapped body loses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Forgets {
    SizeHint,
    EndStream,
    Trailers,
}

/// Wraps response bodies, not quite.
#[derive(Clone)]
pub(crate) struct Rebodied {
    pub(crate) inner: Mock,
    pub(crate) forgets: Forgets,
}

impl Service<Req> for Rebodied {
    type Response = Response<Forgetful>;
    type Error = Broken;
    type Future = Pin<Box<dyn std::future::Future<Output = Result<Response<Forgetful>, Broken>>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        Service::<Req>::poll_ready(&mut self.inner, cx)
    }

    fn call(&mut self, req: Req) -> Self::Future {
        let call = self.inner.call(req);
        let forgets = self.forgets;
        Box::pin(async move { Ok(call.await?.map(|inner| Forgetful { inner, forgets })) })
    }
}

pub(crate) struct Forgetful {
    inner: StrictBody,
    forgets: Forgets,
}

impl Body for Forgetful {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        let trailers = matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
        if trailers && self.forgets == Forgets::Trailers {
            return Poll::Ready(None);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.forgets != Forgets::EndStream && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.forgets {
            Forgets::SizeHint => SizeHint::default(),
            _ => self.inner.size_hint(),
        }
    }
}
