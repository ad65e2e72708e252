use super::exchange::Stream;
use http_body::{Body, Frame, SizeHint};
use mesh_core::hot::CallClock;
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

pin_project! {
    /// A response body that is counted when it is over.
    ///
    /// Frames, trailers, errors and size hint are those of the body inside.
    #[derive(Debug)]
    pub struct StatsBody<B> {
        #[pin]
        inner: B,
        stream: Option<Stream>,
    }
}

impl<B> StatsBody<B> {
    pub(super) fn new(inner: B, stream: Option<Stream>) -> Self {
        Self { inner, stream }
    }
}

impl<B> Body for StatsBody<B>
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
        let _clock = CallClock::begin();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        let Some(stream) = this.stream else {
            return Poll::Ready(frame);
        };
        let over = match &frame {
            Some(Ok(frame)) => {
                stream.frame();
                if let Some(data) = frame.data_ref() {
                    stream.read(data);
                }
                let trailers = frame.trailers_ref();
                // A server need not poll again once the body says that this was the last frame.
                let over = trailers.is_some() || this.inner.is_end_stream();
                over.then(|| stream.end(trailers));
                over
            }
            Some(Err(error)) => {
                stream.broke(error);
                true
            }
            None => {
                stream.end(None);
                true
            }
        };
        if over {
            *this.stream = None;
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

impl<B: Default> Default for StatsBody<B> {
    fn default() -> Self {
        Self::new(B::default(), None)
    }
}
