use crate::{Labels, TapBody, live::Live, tap::Registry};
use http::{Request, Response};
use http_body::Body;
use mesh_core::{Direction, Fault};
use pin_project_lite::pin_project;
use std::{
    any::Any,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Shows passing requests to the subscriptions of the [`Tap`](crate::Tap) that made it.
#[derive(Clone, Debug)]
pub struct TapLayer {
    point: Arc<Point>,
}

/// A place in the stack. It is one pointer in the service, because that is cloned often.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) registry: Arc<Registry>,
    /// True for the layer above the retries.
    pub(crate) exchange: bool,
    pub(crate) direction: Option<Direction>,
    pub(crate) source: Labels,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) destination: Labels,
    pub(crate) inspect: fn(&dyn Any) -> Option<Fault>,
}

impl TapLayer {
    pub(crate) fn new(registry: Arc<Registry>, exchange: bool) -> Self {
        Self {
            point: Arc::new(Point {
                registry,
                exchange,
                direction: None,
                source: Labels::default(),
                endpoint: None,
                destination: Labels::default(),
                inspect: Fault::of_any,
            }),
        }
    }

    /// Sets the direction of requests. The default is that of the request's
    /// [`Conn`](mesh_core::Conn), or else outbound.
    #[must_use]
    pub fn direction(self, direction: Direction) -> Self {
        self.edit(|point| point.direction = Some(direction))
    }

    /// Sets the endpoint that requests go to. The layer belongs innermost, one for each endpoint.
    #[must_use]
    pub fn endpoint(self, addr: SocketAddr, labels: impl Into<Labels>) -> Self {
        self.edit(|point| {
            point.endpoint = Some(addr);
            point.destination = labels.into();
        })
    }

    /// Sets labels of the requests' source, in addition to address and identity of the request's
    /// [`Conn`](mesh_core::Conn).
    #[must_use]
    pub fn source_labels(self, labels: impl Into<Labels>) -> Self {
        self.edit(|point| point.source = labels.into())
    }

    /// Asks `inspect` what an error means, both of the service and of its response bodies.
    ///
    /// By default a [`Fault`] is found in a [`BoxError`](mesh_core::BoxError) or is the error itself; any other error
    /// is shown as `unexpected`, and one that breaks a body as `reset`.
    #[must_use]
    pub fn inspect(self, inspect: fn(&dyn Any) -> Option<Fault>) -> Self {
        self.edit(|point| point.inspect = inspect)
    }

    fn edit(mut self, change: impl FnOnce(&mut Point)) -> Self {
        change(Arc::make_mut(&mut self.point));
        self
    }
}

impl<S> Layer<S> for TapLayer {
    type Service = Tapped<S>;

    fn layer(&self, inner: S) -> Tapped<S> {
        Tapped {
            inner,
            point: self.point.clone(),
        }
    }
}

/// Shows each request, its response and its end to subscriptions.
///
/// See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct Tapped<S> {
    inner: S,
    point: Arc<Point>,
}

impl<S> Tapped<S> {
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

impl<S, B, R> Service<Request<B>> for Tapped<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    R: Body,
    R::Error: 'static,
{
    type Response = Response<TapBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        if self.point.registry.is_watched() {
            return self.call_watched(req);
        }
        ResponseFuture {
            inner: self.inner.call(req),
            live: None,
        }
    }
}

impl<S> Tapped<S> {
    // A function of its own, so that a request without subscriptions is not copied.
    #[cold]
    #[inline(never)]
    fn call_watched<B>(&mut self, mut req: Request<B>) -> ResponseFuture<S::Future>
    where
        S: Service<Request<B>>,
    {
        let live = Live::begin(&self.point, &mut req);
        ResponseFuture {
            inner: self.inner.call(req),
            live,
        }
    }
}

pin_project! {
    /// The response of a [`Tapped`] service.
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // Dropped first, so that an attempt tells its story before the exchange does.
        #[pin]
        inner: F,
        live: Option<Box<Live>>,
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Body,
    E: 'static,
{
    type Output = Result<Response<TapBody<R>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let watched = this.live.is_some();
        // In one expression: a response that is named first is moved once more.
        match this.inner.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(rsp)) if !watched => {
                Poll::Ready(Ok(rsp.map(|body| TapBody::new(body, None))))
            }
            Poll::Ready(result) => Poll::Ready(tell(this.live.take(), result)),
        }
    }
}

/// Shows what came of an exchange.
#[cold]
#[inline(never)]
fn tell<R, E>(
    live: Option<Box<Live>>,
    result: Result<Response<R>, E>,
) -> Result<Response<TapBody<R>>, E>
where
    R: Body,
    E: 'static,
{
    let Some(mut live) = live else {
        return result.map(|response| response.map(|body| TapBody::new(body, None)));
    };
    match result {
        Ok(response) => {
            let more = live.respond(&response);
            // A body that reports its end already is not polled.
            if response.body().is_end_stream() {
                live.ended(None);
            }
            Ok(response.map(|body| TapBody::new(body, more.then_some(live))))
        }
        Err(error) => {
            live.failed(&error);
            Err(error)
        }
    }
}
