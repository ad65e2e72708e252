use crate::{
    DefaultInspect, Inspect, PeekBody, ReplayBody, ResponseFuture,
    future::{Exchange, Step},
    head::{RequestHints, kept_extensions},
    layer::Config,
    replay::Original,
};
use http::{Extensions, HeaderMap, Method, Request, Response, header::CONTENT_LENGTH};
use http_body::Body;
use mesh_core::{
    Attempt, Route,
    hot::{CallClock, KeptHead},
};
use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::time::Instant;
use tower_service::Service;

/// Retries failed requests. [`RetryLayer`](crate::RetryLayer) makes it.
///
/// A request that may not be retried passes through: its head and body are not kept, its future is
/// the inner service's, and the budget does not count it.
#[derive(Clone, Debug)]
pub struct Retry<S, I = DefaultInspect> {
    inner: S,
    config: Arc<Config>,
    inspect: I,
}

impl<S, I> Retry<S, I> {
    pub(crate) fn new(inner: S, config: Arc<Config>, inspect: I) -> Self {
        Self {
            inner,
            config,
            inspect,
        }
    }
}

impl Config {
    /// Returns the hints of `req` if it is safe to send twice, else `None`.
    fn may_retry<B>(&self, req: &Request<B>) -> Option<RequestHints> {
        let declared = Route::of(req).is_some_and(Route::is_retryable);
        let idempotent = self.retries_idempotent && req.method().is_idempotent();
        if !(declared || idempotent) || req.method() == Method::CONNECT {
            return None;
        }
        Some(RequestHints::of(req.headers())).filter(|hints| !hints.upgrade)
    }
}

impl<S, I> Retry<S, I> {
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

impl<S, I, B, RB> Service<Request<B>> for Retry<S, I>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<RB>> + Clone,
    I: Inspect<S::Error> + Clone,
    B: Body + Unpin,
    RB: Body + Unpin,
{
    type Response = Response<PeekBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, I, B, RB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        let Some(hints) = self.config.may_retry(&req) else {
            let attempt = self.inner.call(req.map(ReplayBody::once));
            return ResponseFuture::new(attempt, None);
        };
        let config = self.config.clone();
        let _clock = CallClock::begin();
        let started = Instant::from_std(CallClock::arriving(|| Instant::now().into_std()));
        let earlier = hints.attempts_before();
        if earlier == 0 {
            config.budget.deposit(started.into_std());
        }
        let route = Route::of(&req).cloned();
        let limit = route.as_ref().and_then(Route::retries);
        let retries_left = limit
            .and_then(|retries| retries.limit)
            .or(config.max_retries);

        let (parts, body) = req.into_parts();
        let (body, original) = if retries_left == Some(0) {
            (ReplayBody::once(body), Original::Empty)
        } else {
            let length = || content_length(&parts.headers);
            ReplayBody::keep(body, length, config.max_body, config.max_memory)
        };
        let mut req = Request::from_parts(parts, body);
        let is_final = retries_left == Some(0) || matches!(original, Original::TooLarge);
        let (attempt, extensions) = match is_final {
            true => (Attempt::first(), Extensions::new()),
            false => (
                Attempt::keeping(KeptHead::of(&req)),
                kept_extensions(req.extensions()),
            ),
        };
        req.extensions_mut().insert(attempt.clone());

        // Calls the service that was polled ready; the clone is for the next `call`.
        let next = self.inner.clone();
        let mut service = mem::replace(&mut self.inner, next);
        let future = service.call(req);
        let exchange = Exchange {
            service,
            inspect: self.inspect.clone(),
            config,
            route,
            kind: hints.kind(),
            started,
            attempt,
            earlier,
            retries_left,
            extensions,
            original,
            step: Step::Call,
        };
        ResponseFuture::new(future, Some(Box::new(exchange)))
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
