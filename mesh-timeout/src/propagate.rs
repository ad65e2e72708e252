use crate::{
    Deadline, Elapsed, Phase,
    deadline::{GRPC_TIMEOUT, MESH_DEADLINE, format_timeout},
};
use http::Request;
use mesh_core::{BoxError, Head};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tower_layer::Layer;
use tower_service::Service;

/// Server layer that stores a request's deadline and refuses requests whose deadline has
/// passed.
///
/// Reads `grpc-timeout` and `mesh-deadline` into a [`Deadline`] in the request's extensions; a
/// request that already carries one keeps it. So it may stand twice in a stack: at the front,
/// where time begins to count, and again behind a queue, where it may have run out.
#[derive(Clone, Copy, Debug)]
pub struct AcceptDeadlineLayer {
    reads_headers: bool,
}

impl AcceptDeadlineLayer {
    /// A layer that obeys the headers.
    pub fn new() -> Self {
        Self {
            reads_headers: true,
        }
    }

    /// A layer that obeys only the [`Deadline`] a request already carries: for behind a queue,
    /// where there is no use in another look at headers.
    pub fn again() -> Self {
        Self {
            reads_headers: false,
        }
    }
}

impl Default for AcceptDeadlineLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for AcceptDeadlineLayer {
    type Service = AcceptDeadline<S>;

    fn layer(&self, inner: S) -> AcceptDeadline<S> {
        AcceptDeadline {
            inner,
            reads_headers: self.reads_headers,
        }
    }
}

/// Refuses requests whose deadline has passed. Made by [`AcceptDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct AcceptDeadline<S> {
    inner: S,
    reads_headers: bool,
}

impl<S> AcceptDeadline<S> {
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

impl<S, B> Service<Request<B>> for AcceptDeadline<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = AcceptFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut req: Request<B>) -> Self::Future {
        let passed = if let Some(deadline) = Deadline::of(&req) {
            deadline.has_passed(Instant::now().into_std())
        } else if self.reads_headers
            && (req.headers().contains_key(&MESH_DEADLINE)
                || req.headers().contains_key(&GRPC_TIMEOUT))
        {
            let now = Instant::now().into_std();
            match Deadline::from_headers(req.headers(), now) {
                Some(deadline) => {
                    req.extensions_mut().insert(deadline);
                    deadline.has_passed(now)
                }
                None => false,
            }
        } else {
            false
        };
        AcceptFuture {
            inner: (!passed).then(|| self.inner.call(req)),
        }
    }
}

pin_project! {
    /// The response of [`AcceptDeadline`], or [`Elapsed`] at once.
    #[derive(Debug)]
    pub struct AcceptFuture<F> {
        #[pin]
        inner: Option<F>,
    }
}

impl<F, T, E> Future for AcceptFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll(cx).map_err(Into::into),
            None => Poll::Ready(Err(Elapsed::new(Phase::Deadline, Duration::ZERO).into())),
        }
    }
}

/// For clients: tells the next hop how much time is left.
///
/// Writes what remains of the request's [`Deadline`] into `grpc-timeout` if the request is a gRPC
/// call whose whole exchange is limited, and into `mesh-deadline` unless that says it already.
/// Place it below a retry layer, so that each attempt states its own remainder.
#[derive(Clone, Copy, Debug, Default)]
pub struct PropagateDeadlineLayer(());

impl PropagateDeadlineLayer {
    /// A layer that writes the headers.
    pub fn new() -> Self {
        Self(())
    }
}

impl<S> Layer<S> for PropagateDeadlineLayer {
    type Service = PropagateDeadline<S>;

    fn layer(&self, inner: S) -> PropagateDeadline<S> {
        PropagateDeadline { inner }
    }
}

/// States the time left in outgoing requests. Made by [`PropagateDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct PropagateDeadline<S> {
    inner: S,
}

impl<S> PropagateDeadline<S> {
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

impl<S, B> Service<Request<B>> for PropagateDeadline<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut req: Request<B>) -> Self::Future {
        if let Some(deadline) = Deadline::of(&req).copied() {
            let now = Instant::now().into_std();
            let is_grpc = Head::is_grpc(&req);
            let headers = req.headers_mut();
            let left = |at: std::time::Instant| format_timeout(at.saturating_duration_since(now));
            let whole = deadline.exchange();
            let whole = whole.filter(|_| is_grpc || headers.contains_key(&GRPC_TIMEOUT));
            if let Some(at) = whole {
                headers.insert(GRPC_TIMEOUT, left(at));
            }
            match deadline.head().filter(|at| whole != Some(*at)) {
                Some(at) => drop(headers.insert(MESH_DEADLINE, left(at))),
                // It would be what was left where the request came from.
                None => drop(headers.remove(&MESH_DEADLINE)),
            }
        }
        self.inner.call(req)
    }
}
