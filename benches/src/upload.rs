//! A long upload whose first attempt fails while it is under way.

use crate::{NoBody, now};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use mesh_core::{Attempt, Route};
use mesh_retry::{Budget, RetryLayer};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_layer::Layer;
use tower_service::Service;

/// Length of the upload, 1 GiB.
pub const LENGTH: usize = 1 << 30;

/// Bytes that the first attempt reads before it fails.
pub const FIRST_ATTEMPT: usize = 32 << 10;

const FRAME: usize = 16 << 10;

/// Uploads past a retry layer; how many bytes the last attempt took.
pub fn retried() -> usize {
    let mut service = RetryLayer::per_route(Budget::default()).layer(Sink);
    send(&mut service)
}

/// Uploads without one.
pub fn bare() -> usize {
    send(&mut Sink)
}

fn send<S, RB>(service: &mut S) -> usize
where
    S: Service<Request<Upload>, Response = Response<RB>, Error = Infallible>,
{
    let mut req = Request::new(Upload { left: LENGTH });
    *req.method_mut() = Method::PUT;
    let route = Route::new("PUT /backups/{id}").with_retries();
    req.extensions_mut().insert(route);
    let Ok(rsp) = now(service.call(req));
    let taken = rsp.extensions().get::<Taken>();
    taken.map_or(0, |taken| taken.0)
}

/// A body that does not say how long it is; each frame has memory of its own, as from a socket.
#[derive(Debug)]
struct Upload {
    left: usize,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let len = self.left.min(FRAME);
        self.left -= len;
        Poll::Ready(Some(Ok(Frame::data(vec![7; len].into()))))
    }
}

/// Number of bytes that an attempt read, in its response's extensions.
#[derive(Clone, Copy, Debug)]
struct Taken(usize);

/// Reads what is uploaded and answers 200 at its end. A first attempt at a request that may be
/// retried gets a 503 after [`FIRST_ATTEMPT`] bytes.
#[derive(Clone, Debug)]
struct Sink;

impl<B> Service<Request<B>> for Sink
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin,
{
    type Response = Response<NoBody>;
    type Error = Infallible;
    type Future = Taking<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<B>) -> Taking<B> {
        let is_first = Attempt::of(&req).is_some_and(|attempt| !attempt.is_retry());
        Taking {
            body: req.into_body(),
            taken: 0,
            fail_at: if is_first { FIRST_ATTEMPT } else { usize::MAX },
        }
    }
}

#[derive(Debug)]
struct Taking<B> {
    body: B,
    taken: usize,
    fail_at: usize,
}

impl<B> Future for Taking<B>
where
    B: Body<Data = Bytes, Error = Infallible> + Unpin,
{
    type Output = Result<Response<NoBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut rsp = Response::new(NoBody);
        while let Some(Ok(frame)) = ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            self.taken += frame.data_ref().map_or(0, Bytes::len);
            if self.taken >= self.fail_at {
                *rsp.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                break;
            }
        }
        rsp.extensions_mut().insert(Taken(self.taken));
        Poll::Ready(Ok(rsp))
    }
}
