use super::timers::{SharedProgress, Timers};
use http_body::{Body, Frame, SizeHint};
use mesh_core::{BoxError, Fault};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

pin_project! {
    /// A request body whose frames count as progress, and which fails when its exchange fails.
    #[derive(Debug)]
    pub struct ProgressBody<B> {
        #[pin]
        inner: B,
        both: Option<Arc<SharedProgress>>,
    }
}

impl<B> ProgressBody<B> {
    pub(super) fn new(inner: B, both: Option<Arc<SharedProgress>>) -> Self {
        Self { inner, both }
    }
}

impl<B> Body for ProgressBody<B>
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
        if let Some(both) = this.both
            && both.poll_over(cx).is_ready()
        {
            return Poll::Ready(Some(Err(Fault::Elapsed.into())));
        }
        let frame = ready!(this.inner.poll_frame(cx));
        if let Some(both) = this.both {
            both.note();
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
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
        timers: Option<Box<Timers>>,
    }
}

impl<B> TimedBody<B> {
    pub(super) fn new(inner: B, timers: Option<Box<Timers>>) -> Self {
        Self { inner, timers }
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
        let Some(timers) = this.timers else {
            return this.inner.poll_frame(cx).map_err(Into::into);
        };
        if timers.has_failed() {
            return Poll::Ready(None);
        }
        let error = match this.inner.poll_frame(cx) {
            Poll::Ready(frame) => match timers.passed() {
                // A body that always has one more frame must not outlive the exchange.
                Some(error) if frame.is_some() => error,
                _ => {
                    timers.frame_passed();
                    return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
                }
            },
            Poll::Pending => match timers.poll_exchange(cx) {
                Poll::Ready(error) => error,
                Poll::Pending => ready!(timers.poll_idle(cx)),
            },
        };
        timers.fail();
        Poll::Ready(Some(Err(error)))
    }

    fn is_end_stream(&self) -> bool {
        let failed = self
            .timers
            .as_ref()
            .is_some_and(|timers| timers.has_failed());
        failed || self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
