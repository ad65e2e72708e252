use super::pulse::Pulse;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

pin_project! {
    /// A response body whose end, and whose frames that nobody takes, show in the pulse of its
    /// connection.
    ///
    /// An error comes one turn late: hyper and h2 drop what they have not written when a body
    /// breaks off, and the head and the frames before the error are to arrive.
    pub(super) struct Pulsing<B>
    where
        B: Body,
    {
        #[pin]
        inner: B,
        open: Open,
        broken: Option<B::Error>,
    }

    impl<B: Body> PinnedDrop for Pulsing<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // Nobody asks for more than the last frame, if that is known to be the last.
            this.open.ended |= this.inner.is_end_stream();
        }
    }
}

/// A request whose response is not over.
pub(super) struct Open {
    pulse: Arc<Pulse>,
    /// The last frame was taken, and no other asked for.
    untaken: bool,
    /// The response has come to its end, or broken off on this side.
    ended: bool,
}

impl Open {
    pub(super) fn new(pulse: Arc<Pulse>) -> Self {
        pulse.begin();
        Self {
            pulse,
            untaken: false,
            ended: false,
        }
    }

    pub(super) fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    pub(super) fn body<B: Body>(mut self, inner: B) -> Pulsing<B> {
        self.pulse.answer();
        // Over HTTP/2 nobody asks for the first frame either, while there is no window for it.
        self.take(!inner.is_end_stream());
        Pulsing {
            inner,
            open: self,
            broken: None,
        }
    }

    fn take(&mut self, untaken: bool) {
        if self.untaken {
            self.pulse.asked_for_more();
        }
        if untaken {
            self.pulse.frame_taken();
        }
        self.untaken = untaken;
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.take(false);
        match self.ended {
            true => self.pulse.end(),
            false => self.pulse.give_up(),
        }
    }
}

impl<B: Body> Body for Pulsing<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let polled = match this.broken.take() {
            Some(error) => Poll::Ready(Some(Err(error))),
            None => match this.inner.poll_frame(cx) {
                Poll::Ready(Some(Err(error))) => {
                    *this.broken = Some(error);
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                polled => polled,
            },
        };
        this.open.take(matches!(polled, Poll::Ready(Some(Ok(_)))));
        this.open.ended = match &polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(frame))) => frame.is_trailers(),
            Poll::Ready(_) => true,
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
