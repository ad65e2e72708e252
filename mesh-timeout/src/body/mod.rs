mod frames;
mod timers;

pub use self::frames::{ProgressBody, TimedBody};

use self::timers::{SharedProgress, Timers};
use crate::{
    Deadline, Phase, TimeoutLayer,
    head::{Limit, is_retryable, now},
};
use http::{Request, Response};
use mesh_core::{BoxError, Route, Timeouts, hot::CallClock};
use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::Sleep;
use tower_layer::Layer;
use tower_service::Service;

/// Limits what [`TimeoutLayer`](crate::TimeoutLayer) leaves alone: the gap between two frames,
/// and the whole exchange until the response body has ended.
/// The gap counts frames of both bodies, so a long upload with a silent response is not idle.
/// It runs only while a frame is awaited, so a slow reader does not count as a slow sender. When a
/// limited exchange fails, the rest of its request body fails, too.
#[derive(Clone, Copy, Debug)]
pub struct BodyTimeoutLayer {
    head: Option<TimeoutLayer>,
    idle: Option<Duration>,
    exchange: Option<Duration>,
}

impl BodyTimeoutLayer {
    /// Obeys only the route a request carries ([`Timeouts::idle`], [`Timeouts::exchange`]) and
    /// the [`Deadline`] it came with.
    pub fn per_route() -> Self {
        Self {
            head: None,
            idle: None,
            exchange: None,
        }
    }

    /// Obeys the limit of `head`, too: one layer with one timer, where there were two. And it
    /// refuses a request whose [`Deadline`] has passed, as
    /// [`AcceptDeadlineLayer`](crate::AcceptDeadlineLayer) does.
    #[must_use]
    pub fn with_head(mut self, head: TimeoutLayer) -> Self {
        self.head = Some(head);
        self
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

impl<S> BodyTimeout<S> {
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

    fn call(&mut self, mut req: Request<B>) -> Self::Future {
        let _clock = CallClock::begin();
        let head = self.settings.head.and_then(|head| head.limit(&mut req));
        let Timeouts { exchange, idle, .. } = Route::of(&req)
            .map(|route| *route.timeouts())
            .unwrap_or_default();
        let idle = idle.or(self.settings.idle);
        let own = exchange.or(self.settings.exchange);
        let outer = Deadline::of(&req).and_then(Deadline::exchange);

        let limit = (own.is_some() || outer.is_some())
            .then(|| {
                let now = now();
                let own = own.and_then(|limit| {
                    let limit = Limit::new(now.checked_add(limit)?, Phase::Exchange, limit);
                    Some(limit.ending_retries(is_retryable(&req)))
                });
                Limit::earlier(own, outer.map(|at| Limit::of_caller(at, now)))
            })
            .flatten();
        let both = (limit.is_some() || idle.is_some()).then(|| Arc::new(SharedProgress::new()));
        let timers = both
            .clone()
            .map(|both| Box::new(Timers::new(limit, idle, both)));
        let req = req.map(|inner| ProgressBody::new(inner, both));
        let until_head = Limit::earlier(head, limit);
        let too_late = head.is_some_and(|head| head.is_too_late());
        BodyResponseFuture {
            inner: (!too_late).then(|| self.inner.call(req)),
            until_head,
            sleep: None,
            timers,
        }
    }
}

pin_project! {
    /// The response of [`BodyTimeout`], or [`Elapsed`](crate::Elapsed).
    #[derive(Debug)]
    pub struct BodyResponseFuture<F> {
        // None for a request whose deadline had passed.
        #[pin]
        inner: Option<F>,
        until_head: Option<Limit>,
        // Made when there is something to wait for.
        #[pin]
        sleep: Option<Sleep>,
        timers: Option<Box<Timers>>,
    }
}

impl<F, RB, E> Future for BodyResponseFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<TimedBody<RB>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = match this.inner.as_pin_mut() {
            Some(inner) => inner.poll(cx).map_err(Into::into),
            None => Poll::Pending,
        };
        let error = match answer {
            Poll::Ready(Ok(rsp)) => {
                let timers = this.timers.take();
                return Poll::Ready(Ok(rsp.map(|body| TimedBody::new(body, timers))));
            }
            Poll::Ready(Err(error)) => error,
            Poll::Pending => {
                let Some(limit) = this.until_head else {
                    return Poll::Pending;
                };
                if this.sleep.is_none() {
                    this.sleep.set(Some(tokio::time::sleep_until(limit.at)));
                }
                if let Some(sleep) = this.sleep.as_pin_mut() {
                    ready!(sleep.poll(cx));
                }
                limit.elapsed.into()
            }
        };
        if let Some(timers) = this.timers {
            timers.fail();
        }
        Poll::Ready(Err(error))
    }
}
