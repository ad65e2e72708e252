use bytes::Buf;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// A response body whose first frame a retry layer may have read.
///
/// gRPC sends the status of a call in trailers. If a call fails before its first message, the
/// trailers follow the head directly, and the retry layer reads them in time for a retry. The body
/// gives that frame first, then passes the rest through.
pub struct PeekBody<B: Body> {
    // Boxed, as most responses are not peeked at, and each layer moves the response.
    peeked: Option<Box<Peeked<B>>>,
    inner: B,
}

enum Peeked<B: Body> {
    Frame(Result<Frame<B::Data>, B::Error>),
    End,
}

/// The kind of the first frame.
pub(crate) enum First<'a, D> {
    /// A message, so the call has not failed yet; or the last frame of gRPC-web or Connect.
    Data(&'a D),
    Trailers(&'a HeaderMap),
    End,
    Error,
}

impl<B: Body + Unpin> PeekBody<B> {
    pub(crate) fn new(inner: B) -> Self {
        Self {
            peeked: None,
            inner,
        }
    }

    /// Waits for the first frame.
    pub(crate) fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<First<'_, B::Data>> {
        if self.peeked.is_none() {
            let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
            self.peeked = Some(Box::new(frame.map_or(Peeked::End, Peeked::Frame)));
        }
        Poll::Ready(match self.peeked.as_deref() {
            Some(Peeked::Frame(Ok(frame))) => match (frame.data_ref(), frame.trailers_ref()) {
                (Some(data), _) => First::Data(data),
                (None, Some(trailers)) => First::Trailers(trailers),
                (None, None) => First::End,
            },
            Some(Peeked::Frame(Err(_))) => First::Error,
            Some(Peeked::End) | None => First::End,
        })
    }
}

impl<B: Body + Unpin> Body for PeekBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        match self.peeked.take().map(|peeked| *peeked) {
            None => Pin::new(&mut self.inner).poll_frame(cx),
            Some(Peeked::Frame(frame)) => Poll::Ready(Some(frame)),
            Some(Peeked::End) => {
                // A body is not polled past its end.
                self.peeked = Some(Box::new(Peeked::End));
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self.peeked.as_deref() {
            None => self.inner.is_end_stream(),
            Some(Peeked::Frame(_)) => false,
            Some(Peeked::End) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        if let Some(Peeked::Frame(Ok(frame))) = self.peeked.as_deref()
            && let Some(data) = frame.data_ref()
        {
            let len = data.remaining() as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(len));
            }
            hint.set_lower(hint.lower().saturating_add(len));
        }
        hint
    }
}

// The peeked frame is moved out and never pinned.
impl<B: Body + Unpin> Unpin for PeekBody<B> {}

impl<B: Body> fmt::Debug for PeekBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeekBody")
            .field("peeked", &self.peeked.is_some())
            .finish_non_exhaustive()
    }
}
