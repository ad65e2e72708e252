use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};
use tower_service::Service;

/// Answers everything with an empty 200, at once: what is measured above it is the layer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noop;

impl<B> Service<Request<B>> for Noop {
    type Response = Response<NoBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(Response::new(NoBody)))
    }
}

/// Answers as [`Noop`] does, but the compiler does not see how: as little as it sees through a
/// connection. What a layer of a few instructions costs is lost where nothing is left of the
/// service below.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opaque;

/// The response of [`Opaque`].
#[derive(Debug)]
pub struct OpaqueFuture(Option<Response<NoBody>>);

impl<B> Service<Request<B>> for Opaque {
    type Response = Response<NoBody>;
    type Error = Infallible;
    type Future = OpaqueFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    #[inline(never)]
    fn call(&mut self, _: Request<B>) -> OpaqueFuture {
        OpaqueFuture(Some(Response::new(NoBody)))
    }
}

impl Future for OpaqueFuture {
    type Output = Result<Response<NoBody>, Infallible>;

    #[inline(never)]
    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(self.0.take().expect("polled after completion")))
    }
}

/// A body without frames.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBody;

impl Body for NoBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
