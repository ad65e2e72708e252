use super::{
    StatsBody,
    exchange::{Exchange, Inspect, Level},
    table::Table,
};
use http::{Request, Response};
use http_body::Body;
use mesh_core::{Fault, Route, RpcKind, hot::CallClock};
use pin_project_lite::pin_project;
use std::{
    any::Any,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Counts the requests and responses that pass; made by [`Stats`](super::Stats).
#[derive(Clone)]
pub struct StatsLayer {
    table: Arc<Table>,
    level: Level,
    inspect: Inspect,
}

impl StatsLayer {
    pub(super) fn new(table: Arc<Table>, level: Level) -> Self {
        Self {
            table,
            level,
            inspect: Fault::of_any,
        }
    }

    /// Asks `inspect` what an error means, both of the service and of its response bodies.
    ///
    /// By default a [`Fault`] is found in a [`BoxError`](mesh_core::BoxError) or is the error
    /// itself; any other error counts as `unexpected`, and one that breaks a body as `reset`.
    #[must_use]
    pub fn inspect(mut self, inspect: fn(&dyn Any) -> Option<Fault>) -> Self {
        self.inspect = inspect;
        self
    }
}

impl fmt::Debug for StatsLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatsLayer")
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for StatsLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            layer: self.clone(),
        }
    }
}

/// Counts each request, and its response when that is over.
///
/// See the [crate documentation](crate) for what counts when.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    layer: StatsLayer,
}

impl<S> Counted<S> {
    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without this one.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for Counted<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: Body,
    R::Error: 'static,
{
    type Response = Response<StatsBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        let StatsLayer {
            table,
            level,
            inspect,
        } = &self.layer;
        let _clock = CallClock::begin();
        // An endpoint is not counted by route, so that a route only matters there if it has an idea
        // of its own of what a failure is. Thousands of endpoints would each have an entry for it.
        let route = Route::of(&req)
            .filter(|route| *level != Level::Endpoint || route.own_classify().is_some());
        let entry = table.entry(route);
        let exchange = Exchange::dispatch(entry, *level, RpcKind::of(&req), *inspect);
        ResponseFuture {
            inner: self.inner.call(req),
            exchange: Some(exchange),
        }
    }
}

pin_project! {
    /// The response of a [`Counted`] service.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        exchange: Option<Exchange>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
    E: 'static,
{
    type Output = Result<Response<StatsBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let _clock = CallClock::begin();
        let poll = this.inner.poll(cx);
        let stream = match &poll {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(response)) => {
                // A body that reports its end already is not polled.
                let over = response.body().is_end_stream();
                let exchange = this.exchange.take();
                exchange.and_then(|exchange| exchange.respond(response, over))
            }
            Poll::Ready(Err(error)) => {
                if let Some(exchange) = this.exchange.take() {
                    exchange.failed(error);
                }
                None
            }
        };
        // Taken apart only now: a response that is named before is moved once more.
        poll.map_ok(|response| response.map(|body| StatsBody::new(body, stream)))
    }
}
