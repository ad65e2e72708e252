use crate::{
    FaultBody, ResponseFuture,
    faults::{Decision, Local},
    layer::Source,
};
use http::{Request, Response};
use mesh_core::BoxError;
use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};
use tower_service::Service;

/// Passes requests on, but for those that a fault is injected into.
///
/// See the [crate documentation](crate) for an example. Made by [`FaultLayer`](crate::FaultLayer).
#[derive(Clone, Debug)]
pub struct Faulty<S> {
    inner: S,
    source: Arc<Source>,
    local: Local,
}

impl<S> Faulty<S> {
    pub(crate) fn new(inner: S, source: Arc<Source>) -> Self {
        Self {
            inner,
            source,
            local: Local::default(),
        }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, RB> Service<Request<B>> for Faulty<S>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
{
    type Response = Response<FaultBody<RB>>;
    type Error = BoxError;
    type Future = ResponseFuture<S, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        match self.local.decide(&self.source.shared, &req) {
            None => ResponseFuture::passing(self.inner.call(req)),
            Some(decision) => self.inject(decision, req),
        }
    }
}

impl<S: Clone> Faulty<S> {
    // Apart, so that a request which nothing is injected into is not even copied.
    #[cold]
    #[inline(never)]
    fn inject<B>(&mut self, decision: Decision, req: Request<B>) -> ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        // The clone that was polled is the one to call later; where none is called, dropping it
        // gives back what it had reserved.
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        ResponseFuture::injected(decision, ready, req)
    }
}
