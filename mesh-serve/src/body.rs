use crate::server::pulse::Pulse;
use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// The body of a request, read from its connection as it is polled.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    trailers: fn(&mut HeaderMap),
    /// HTTP/1: the connection, until all is read.
    unread: Option<Arc<Pulse>>,
}

impl RequestBody {
    /// A body whose trailers are edited by `trailers`, and which tells `connection` when it is read
    /// to its end.
    #[inline]
    pub(crate) fn new(
        incoming: Incoming,
        trailers: fn(&mut HeaderMap),
        connection: Option<Arc<Pulse>>,
    ) -> Self {
        if let Some(pulse) = &connection {
            pulse.begin_body();
        }
        Self {
            incoming,
            trailers,
            unread: connection,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    #[inline]
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let mut polled = Pin::new(&mut self.incoming).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &mut polled
            && let Some(trailers) = frame.trailers_mut()
        {
            (self.trailers)(trailers);
        }
        if self.unread.is_some() {
            let is_over = match &polled {
                Poll::Pending => false,
                Poll::Ready(Some(Ok(frame))) => {
                    frame.is_trailers() || self.incoming.is_end_stream()
                }
                Poll::Ready(_) => true,
            };
            if is_over && let Some(pulse) = self.unread.take() {
                pulse.end_body();
            }
        }
        polled.map_err(BodyError)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// The client broke off, or its body is not what its head says.
///
/// The error of the connection, one of HTTP/2 for example, is among its sources.
#[derive(Debug)]
pub struct BodyError(hyper::Error);

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}
