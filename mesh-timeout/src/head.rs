use crate::{Deadline, Elapsed, Phase};
use http::Request;
use mesh_core::{BoxError, Route, hot::CallClock};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

/// Limits the time until the response head; the response itself is left as it is.
///
/// A body may then take as long as it likes, so server-sent events and long downloads pass. See
/// the [crate documentation](crate) for an example, and [`BodyTimeoutLayer`] for bodies.
///
/// [`BodyTimeoutLayer`]: crate::BodyTimeoutLayer
#[derive(Clone, Copy, Debug)]
pub struct TimeoutLayer {
    phase: Phase,
    default: Option<Duration>,
    announce: bool,
}

impl TimeoutLayer {
    /// Allows a response head `limit`, unless the request's route says otherwise.
    pub fn new(limit: Duration) -> Self {
        Self::per_route().with_default(limit)
    }

    /// Obeys only the route a request carries ([`Timeouts::head`](crate::Timeouts::head)) and
    /// the [`Deadline`] it came with; place it above a retry layer.
    pub fn per_route() -> Self {
        Self {
            phase: Phase::Head,
            default: None,
            announce: false,
        }
    }

    /// Obeys only the route's limit for each attempt
    /// ([`Timeouts::attempt`](crate::Timeouts::attempt)); place it below a retry layer.
    pub fn per_attempt() -> Self {
        Self {
            phase: Phase::Attempt,
            ..Self::per_route()
        }
    }

    /// The limit of a request whose route declares none.
    #[must_use]
    pub fn with_default(mut self, limit: Duration) -> Self {
        self.default = Some(limit);
        self
    }

    /// Makes [`PropagateDeadlineLayer`](crate::PropagateDeadlineLayer) below announce this
    /// limit to the next hop, which then need not begin work that comes too late.
    #[must_use]
    pub fn announce(mut self) -> Self {
        self.announce = true;
        self
    }

    /// The limit of `req`, as an instant; the smaller of the route's and the caller's.
    ///
    /// Reads the clock only if there is one: most requests of most services have no limit.
    #[inline(always)] // saves a tenth of what the layer costs a request without a limit
    pub(crate) fn limit<B>(&self, req: &mut Request<B>) -> Option<Limit> {
        let Self {
            phase,
            default,
            announce,
        } = *self;
        let route = Route::of(req);
        let own = route
            .and_then(|route| match phase {
                Phase::Attempt => route.timeouts().attempt,
                _ => route.timeouts().head,
            })
            .or(default);
        let is_retryable = route.is_some_and(Route::is_retryable);
        let outer = match phase {
            // The layer above the retries has already obeyed the caller's deadline.
            Phase::Attempt => None,
            _ => Deadline::of(req).and_then(Deadline::head),
        };
        if own.is_none() && outer.is_none() {
            return None;
        }
        let now = now();
        // A sum too large for the clock is no limit.
        let own = own.and_then(|limit| {
            let limit = Limit::new(now.checked_add(limit)?, phase, limit);
            let whole = !matches!(phase, Phase::Attempt);
            Some(limit.ending_retries(whole && is_retryable))
        });
        let outer = outer.map(|at| Limit::of_caller(at, now));
        let limit = Limit::earlier(own, outer)?;
        if announce {
            let deadline = Deadline::of(req).copied().unwrap_or_default();
            let deadline = deadline.with_head(limit.at.into_std());
            req.extensions_mut().insert(deadline);
        }
        Some(limit)
    }
}

impl<S> Layer<S> for TimeoutLayer {
    type Service = Timeout<S>;

    fn layer(&self, inner: S) -> Timeout<S> {
        Timeout {
            inner,
            settings: *self,
        }
    }
}

/// Fails a request whose response has not begun in time.
///
/// Made by [`TimeoutLayer`]. The error is [`Elapsed`], or the inner service's own.
#[derive(Clone, Debug)]
pub struct Timeout<S> {
    inner: S,
    settings: TimeoutLayer,
}

impl<S> Timeout<S> {
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

impl<S, B> Service<Request<B>> for Timeout<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut req: Request<B>) -> Self::Future {
        // The clock starts before the call, so slow work inside `call` counts too.
        let _clock = CallClock::begin();
        let limit = self.settings.limit(&mut req);
        ResponseFuture {
            inner: self.inner.call(req),
            limit,
            sleep: None,
        }
    }
}

/// The time at which a request came, which layers of one stack share.
pub(crate) fn now() -> Instant {
    Instant::from_std(CallClock::arriving(|| Instant::now().into_std()))
}

/// Returns true if `req` may be retried within its limits.
pub(crate) fn is_retryable<B>(req: &Request<B>) -> bool {
    Route::of(req).is_some_and(Route::is_retryable)
}

/// An instant, and what to say once it has passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    pub(crate) at: Instant,
    pub(crate) elapsed: Elapsed,
}

impl Limit {
    pub(crate) fn new(at: Instant, phase: Phase, limit: Duration) -> Self {
        let elapsed = Elapsed::new(phase, limit);
        Self { at, elapsed }
    }

    /// The caller's own, which is at `at`.
    pub(crate) fn of_caller(at: std::time::Instant, now: Instant) -> Self {
        let at = Instant::from_std(at);
        Self::new(at, Phase::Deadline, at.saturating_duration_since(now))
    }

    /// Returns true if the caller's deadline had passed before the request arrived.
    pub(crate) fn is_too_late(&self) -> bool {
        self.elapsed.phase() == Phase::Deadline && self.elapsed.limit().is_zero()
    }

    /// Notes whether it limits all attempts of a request that has more than one.
    pub(crate) fn ending_retries(mut self, ends_retries: bool) -> Self {
        self.elapsed = self.elapsed.ending_retries(ends_retries);
        self
    }

    pub(crate) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}

pin_project! {
    /// The response of [`Timeout`], or [`Elapsed`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        limit: Option<Limit>,
        // Made when there is something to wait for: an answer that is ready at once costs no
        // timer.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl<F, T, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<T, E>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.inner.poll(cx) {
            Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
            Poll::Pending => {}
        }
        let Some(limit) = this.limit else {
            return Poll::Pending;
        };
        if this.sleep.is_none() {
            this.sleep.set(Some(tokio::time::sleep_until(limit.at)));
        }
        if let Some(sleep) = this.sleep.as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        Poll::Ready(Err(limit.elapsed.into()))
    }
}
