use crate::{
    Deadline, Elapsed, Phase,
    head::{Limit, is_retryable},
};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use mesh_core::{BoxError, Route, Timeouts};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tower_layer::Layer;
use tower_service::Service;

/// Limits what [`TimeoutLayer`](crate::TimeoutLayer) leaves alone: the gap between two frames,
/// and the whole exchange until the response body has ended.
///
/// The gap counts frames of either body, so a long upload with a silent response is not idle,
/// and counts only while somebody waits for the next frame: a slow reader is no slow sender.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeoutLayer {
    idle: Option<Duration>,
    exchange: Option<Duration>,
}

impl BodyTimeoutLayer {
    /// Obeys only the route a request carries ([`Timeouts::idle`], [`Timeouts::exchange`]) and
    /// the [`Deadline`] it came with.
    pub fn per_route() -> Self {
        Self {
            idle: None,
            exchange: None,
        }
    }

    /// The longest gap between two frames, for a request whose route declares none.
    #[must_use]
    pub fn with_idle(mut self, limit: Duration) -> Self {
        self.idle = Some(limit);
        self
    }

    /// The longest exchange, for a request whose route declares none.
    #[must_use]
    pub fn with_exchange(mut self, limit: Duration) -> Self {
        self.exchange = Some(limit);
        self
    }
}

impl<S> Layer<S> for BodyTimeoutLayer {
    type Service = BodyTimeout<S>;

    fn layer(&self, inner: S) -> BodyTimeout<S> {
        BodyTimeout {
            inner,
            settings: *self,
        }
    }
}

/// Fails an exchange that stalls or goes on for too long. Made by [`BodyTimeoutLayer`].
#[derive(Clone, Debug)]
pub struct BodyTimeout<S> {
    inner: S,
    settings: BodyTimeoutLayer,
}

impl<S, B, RB> Service<Request<B>> for BodyTimeout<S>
where
    S: Service<Request<ProgressBody<B>>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<TimedBody<RB>>;
    type Error = BoxError;
    type Future = BodyResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        let Timeouts { exchange, idle, .. } = Route::of(&req)
            .map(|route| *route.timeouts())
            .unwrap_or_default();
        let idle = idle.or(self.settings.idle);
        let own = exchange.or(self.settings.exchange);
        let outer = Deadline::of(&req).and_then(Deadline::exchange);

        let limit = (own.is_some() || outer.is_some())
            .then(|| {
                let now = Instant::now();
                let own = own.and_then(|limit| {
                    let limit = Limit::new(now.checked_add(limit)?, Phase::Exchange, limit);
                    Some(limit.ending_retries(is_retryable(&req)))
                });
                let outer = outer.map(|at| {
                    let at = Instant::from_std(at);
                    Limit::new(at, Phase::Deadline, at.saturating_duration_since(now))
                });
                Limit::earlier(own, outer)
            })
            .flatten();
        let idle = idle.map(Idle::new);
        let progress = idle.as_ref().map(|idle| idle.progress.clone());
        let req = req.map(|inner| ProgressBody { inner, progress });
        BodyResponseFuture {
            inner: self.inner.call(req),
            timers: Timers::new(limit, idle),
        }
    }
}

/// When a frame of either body last passed, in nanoseconds after `start`.
#[derive(Debug)]
struct Progress {
    start: Instant,
    last: AtomicU64,
}

impl Progress {
    fn note(&self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.last.fetch_max(nanos, Ordering::Relaxed);
    }

    fn last(&self) -> Instant {
        self.start + Duration::from_nanos(self.last.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct Idle {
    limit: Duration,
    progress: Arc<Progress>,
    /// Since when somebody waits for the next frame.
    waiting_since: Option<Instant>,
}

impl Idle {
    fn new(limit: Duration) -> Self {
        let progress = Progress {
            start: Instant::now(),
            last: AtomicU64::new(0),
        };
        Self {
            limit,
            progress: Arc::new(progress),
            waiting_since: None,
        }
    }

    /// When the gap is too long, for somebody who has waited for a frame since `since`.
    fn ends(&self, since: Instant) -> Instant {
        let last = since.max(self.progress.last());
        // A limit too long for the clock is one nobody will see the end of.
        const CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);
        last + self.limit.min(CENTURY)
    }
}

/// What a body waits for, besides its next frame. The timers are boxed, and made when there is
/// something to wait for, so that a body stays small and can be moved.
#[derive(Debug)]
struct Timers {
    limit: Option<Limit>,
    limit_sleep: Option<Pin<Box<Sleep>>>,
    idle: Option<Idle>,
    idle_sleep: Option<Pin<Box<Sleep>>>,
}

impl Timers {
    fn new(limit: Option<Limit>, idle: Option<Idle>) -> Self {
        Self {
            limit,
            limit_sleep: None,
            idle,
            idle_sleep: None,
        }
    }

    /// Ready when the exchange has taken too long.
    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let Some(limit) = &self.limit else {
            return Poll::Pending;
        };
        let sleep = self
            .limit_sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(limit.at)));
        ready!(sleep.as_mut().poll(cx));
        Poll::Ready(limit.elapsed.into())
    }

    /// Ready when the gap has become too long.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<BoxError> {
        let Some(idle) = &mut self.idle else {
            return Poll::Pending;
        };
        let since = *idle.waiting_since.get_or_insert_with(Instant::now);
        loop {
            // A frame of the other body moves the instant while we sleep.
            let at = idle.ends(since);
            let sleep = self
                .idle_sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
            if sleep.deadline() != at {
                sleep.as_mut().reset(at);
            }
            ready!(sleep.as_mut().poll(cx));
            if idle.ends(since) <= at {
                return Poll::Ready(Elapsed::new(Phase::Idle, idle.limit).into());
            }
        }
    }

    fn frame_passed(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.progress.note();
            idle.waiting_since = None;
        }
    }
}

pin_project! {
    /// The response of [`BodyTimeout`], or [`Elapsed`](crate::Elapsed).
    #[derive(Debug)]
    pub struct BodyResponseFuture<F> {
        #[pin]
        inner: F,
        timers: Timers,
    }
}

impl<F, RB, E> Future for BodyResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<TimedBody<RB>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Poll::Ready(result) = this.inner.poll(cx) else {
            return this.timers.poll_exchange(cx).map(Err);
        };
        let timers = mem::replace(this.timers, Timers::new(None, None));
        Poll::Ready(result.map_err(Into::into).map(|rsp| {
            rsp.map(|inner| TimedBody {
                inner,
                timers,
                failed: false,
            })
        }))
    }
}

pin_project! {
    /// A request body whose frames count as progress. It can not fail by itself.
    #[derive(Debug)]
    pub struct ProgressBody<B> {
        #[pin]
        inner: B,
        progress: Option<Arc<Progress>>,
    }
}

impl<B: Body> Body for ProgressBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(progress) = this.progress {
            progress.note();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

pin_project! {
    /// A response body that fails with [`Elapsed`](crate::Elapsed) when it stalls or takes too
    /// long.
    #[derive(Debug)]
    pub struct TimedBody<B> {
        #[pin]
        inner: B,
        timers: Timers,
        failed: bool,
    }
}

impl<B> Body for TimedBody<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if *this.failed {
            return Poll::Ready(None);
        }
        // A frame that is there is delivered even if its time has passed; but a body that
        // always has one more must not outlive the exchange, so the limit is asked each time.
        let late = this.timers.poll_exchange(cx);
        if let Poll::Ready(frame) = this.inner.poll_frame(cx)
            && (late.is_pending() || frame.is_none())
        {
            this.timers.frame_passed();
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let error = match late {
            Poll::Ready(error) => error,
            Poll::Pending => ready!(this.timers.poll_idle(cx)),
        };
        *this.failed = true;
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        self.failed || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
