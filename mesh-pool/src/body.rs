use crate::{ending::Ending, http1::Lease, stream::Download, wakeup::Wakeup};
use bytes::Bytes;
use h2::RecvStream;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use mesh_core::BoxError;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

/// The body of a response, read from its connection as it is polled.
pub struct Body<B>(Source<B>)
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>;

enum Source<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    Http1(Leased<B>),
    Http2(Download),
}

/// It reads its HTTP/1 connection itself, with no task between, and gives it back to the pool at
/// its end; dropped before, it closes it, unless the rest is here already.
struct Leased<B>
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
    pub(super) fn http1(incoming: Incoming, lease: Option<Lease<B>>) -> Self {
        let mut body = Leased { incoming, lease };
        body.release_at_end();
        Self(Source::Http1(body))
    }

    /// `limit` is that of the trailers, in bytes.
    pub(super) fn http2(stream: RecvStream, ending: Arc<Ending>, limit: usize) -> Self {
        Self(Source::Http2(Download::new(stream, ending, limit)))
    }
}

impl<B> Leased<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream()
            && let Some(lease) = self.lease.take()
        {
            lease.give_back();
        }
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = match &mut self.lease {
            Some(lease) if lease.is_driven_here() => {
                // Only driving the connection makes the body ready, so that the body need not
                // wake this task for what it is just about to look at.
                let mut quiet = Context::from_waker(Waker::noop());
                let mut incoming = Pin::new(&mut self.incoming);
                let mut poll = || Wakeup::quietly(|| incoming.as_mut().poll_frame(&mut quiet));
                let mut polled = poll();
                if polled.is_pending() {
                    lease.drive(cx);
                    polled = poll();
                }
                polled
            }
            _ => Pin::new(&mut self.incoming).poll_frame(cx),
        };
        match &polled {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(_))) => self.release_at_end(),
            Poll::Ready(Some(Err(_))) => self.lease = None,
            Poll::Ready(None) => {
                if let Some(lease) = self.lease.take() {
                    lease.give_back();
                }
            }
        }
        polled
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
        match &mut self.0 {
            Source::Http1(body) => body.poll_frame(cx).map_err(Into::into),
            Source::Http2(body) => body.poll_frame(cx).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Http1(body) => body.incoming.is_end_stream(),
            Source::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Http1(body) => body.incoming.size_hint(),
            Source::Http2(body) => body.size_hint(),
        }
    }
}

impl<B> Drop for Leased<B>
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
            if self.poll_frame(&mut quiet).is_pending() {
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
        f.debug_tuple("Body").finish_non_exhaustive()
    }
}
