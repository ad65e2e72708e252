use crate::live::Live;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project! {
    /// A response body that tells when it is over, and how.
    ///
    /// Frames, trailers, errors and size hint are those of the body inside.
    #[derive(Debug)]
    pub struct TapBody<B> {
        #[pin]
        inner: B,
        live: Option<Box<Live>>,
    }
}

impl<B> TapBody<B> {
    pub(crate) fn new(inner: B, live: Option<Box<Live>>) -> Self {
        Self { inner, live }
    }
}

impl<B> Body for TapBody<B>
where
    B: Body,
    B::Error: 'static,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let Some(live) = this.live else {
            return Poll::Ready(frame);
        };
        let over = match &frame {
            Some(Ok(frame)) => {
                // A server need not poll again once the body says that this was the last frame.
                live.frame(frame) || {
                    let over = this.inner.is_end_stream();
                    over.then(|| live.ended(None));
                    over
                }
            }
            Some(Err(error)) => {
                live.broke(error);
                true
            }
            None => {
                live.ended(None);
                true
            }
        };
        if over && !live.is_pending() {
            *this.live = None;
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

impl<B: Default> Default for TapBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}
