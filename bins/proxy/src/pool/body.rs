use super::http1::Lease;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use mesh_core::BoxError;
use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, Waker},
};

/// A response body. It reads its HTTP/1 connection itself, with no task between, and gives it
/// back to the pool at its end; dropped before, it closes it, unless the rest is here already.
pub(crate) struct Body<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    incoming: Incoming,
    lease: Option<Lease<B>>,
}

impl<B> Body<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn new(incoming: Incoming, lease: Option<Lease<B>>) -> Self {
        let mut body = Self { incoming, lease };
        body.release_at_end();
        body
    }

    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }
}

impl<B> HttpBody for Body<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let polled = match &mut this.lease {
            Some(lease) if lease.is_driven_here() => {
                // Only driving the connection makes the body ready, so that the body need not
                // wake this task for what it is just about to look at.
                let mut quiet = Context::from_waker(Waker::noop());
                let mut polled = Pin::new(&mut this.incoming).poll_frame(&mut quiet);
                if polled.is_pending() {
                    lease.drive(cx);
                    polled = Pin::new(&mut this.incoming).poll_frame(&mut quiet);
                }
                polled
            }
            _ => Pin::new(&mut this.incoming).poll_frame(cx),
        };
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                this.release_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.lease = None;
                Poll::Ready(Some(Err(error.into())))
            }
            Poll::Ready(None) => {
                if let Some(lease) = this.lease.take() {
                    lease.give_back();
                }
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl<B> Drop for Body<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn drop(&mut self) {
        // Whoever drops a response unread, as a retry does with a failure, has mostly got all of
        // a small one with its head: no reason to lose the connection.
        let mut quiet = Context::from_waker(Waker::noop());
        for _ in 0..MAX_UNREAD {
            if self.lease.is_none() {
                return;
            }
            if Pin::new(&mut *self).poll_frame(&mut quiet).is_pending() {
                return;
            }
        }
    }
}

/// Frames that are read off a connection to save it, when nobody wants them.
const MAX_UNREAD: usize = 8;

impl<B> fmt::Debug for Body<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Body").field(&self.incoming).finish()
    }
}
