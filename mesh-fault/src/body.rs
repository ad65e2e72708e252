use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

pin_project! {
    /// The service's response body, or the empty one of an injected error.
    ///
    /// Frames, trailers, errors and size hint are those of the body inside.
    #[derive(Debug)]
    pub struct FaultBody<B> {
        #[pin]
        inner: Option<B>,
    }
}

impl<B> FaultBody<B> {
    pub(crate) fn passed(inner: B) -> Self {
        Self { inner: Some(inner) }
    }

    pub(crate) fn empty() -> Self {
        Self { inner: None }
    }

    /// The service's body; none of an injected error.
    pub fn get_ref(&self) -> Option<&B> {
        self.inner.as_ref()
    }

    /// The service's body; none of an injected error.
    pub fn get_mut(&mut self) -> Option<&mut B> {
        self.inner.as_mut()
    }

    /// The service's body; none of an injected error.
    pub fn into_inner(self) -> Option<B> {
        self.inner
    }
}

impl<B: Body> Body for FaultBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.project().inner.as_pin_mut() {
            Some(inner) => inner.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl<B> Default for FaultBody<B> {
    fn default() -> Self {
        Self::empty()
    }
}
