use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// The body of a request, read from its connection as it is polled.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    trailers: fn(&mut HeaderMap),
}

impl RequestBody {
    /// A body whose trailers are edited by `trailers`.
    #[inline]
    pub(crate) fn new(incoming: Incoming, trailers: fn(&mut HeaderMap)) -> Self {
        Self { incoming, trailers }
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
