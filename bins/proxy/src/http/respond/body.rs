//! Bodies of responses.

use super::{CallProtocol, RequestKind, percent_encoded, row};
use crate::http::headers;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Response,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body::{Body, Frame, SizeHint};
use mesh_core::{BoxError, Fault, StatusReader};
use mesh_pool::TrailersTooLarge;
use pin_project_lite::pin_project;
use std::{
    error::Error,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// A response whose body goes on as it comes.
pub(crate) fn stream<B>(rsp: Response<B>, asked: RequestKind) -> Response<ResponseBody<B>> {
    match asked.protocol {
        CallProtocol::Http | CallProtocol::Connect => {}
        CallProtocol::Grpc => {
            let kind = rsp.headers().get(CONTENT_TYPE);
            let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
            // Trailers are no matter of course in HTTP/1.
            if is_grpc && !asked.http1 {
                return rsp.map(|body| ResponseBody::Call { body });
            }
        }
        _ => {
            if let Some(call) = FramedCall::of(rsp.headers()) {
                let call = Box::new(call);
                return rsp.map(|body| ResponseBody::Framed { body, call });
            }
        }
    }
    rsp.map(|body| ResponseBody::Stream { body })
}

/// A call that has its status in the last frame of the body.
#[derive(Debug)]
pub(crate) struct FramedCall {
    protocol: CallProtocol,
    reader: StatusReader,
}

impl FramedCall {
    /// The call of a response with these headers; none if its length is settled.
    fn of(response: &HeaderMap) -> Option<Self> {
        if response.contains_key(CONTENT_LENGTH) {
            return None;
        }
        Some(Self {
            protocol: CallProtocol::of_framed(response)?,
            reader: StatusReader::of(response)?,
        })
    }

    /// The frame that ends a call whose time is over, if the last one is whole.
    fn too_late(&self, error: &BoxError) -> Option<Bytes> {
        if Fault::of(&**error) != Some(Fault::Elapsed) || !self.reader.is_between_frames() {
            return None;
        }
        let text = HeaderValue::from_str(&error.to_string()).ok()?;
        Some(self.protocol.error_body(row(Fault::Elapsed).grpc, &text))
    }
}

type Polled<E> = Poll<Option<Result<Frame<Bytes>, E>>>;

/// The same frame; trailers without what they may not say.
fn stripped<E>(mut polled: Polled<E>) -> Polled<E> {
    if let Poll::Ready(Some(Ok(frame))) = &mut polled
        && let Some(trailers) = frame.trailers_mut()
    {
        headers::strip_trailers(trailers);
    }
    polled
}

/// gRPC's RESOURCE_EXHAUSTED.
const EXHAUSTED: u16 = 8;

/// The trailers that end a gRPC stream whose time is over, DEADLINE_EXCEEDED, or whose own trailers
/// are too large, RESOURCE_EXHAUSTED.
fn trailers_for(error: &BoxError) -> Option<HeaderMap> {
    let (status, limit) = if is_too_large(error) {
        (EXHAUSTED, " (--max-head-bytes)")
    } else if Fault::of(&**error) == Some(Fault::Elapsed) {
        (row(Fault::Elapsed).grpc, "")
    } else {
        return None;
    };
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.into());
    let text = HeaderValue::from_str(&format!("{error}{limit}")).ok()?;
    trailers.insert("grpc-message", percent_encoded(&text));
    Some(trailers)
}

fn is_too_large(error: &BoxError) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(&**error);
    while let Some(error) = next {
        if error.is::<TrailersTooLarge>() {
            return true;
        }
        next = error.source();
    }
    false
}

pin_project! {
    /// The body of a response: the endpoint's, or none.
    #[project = ResponseBodyProj]
    #[derive(Debug)]
    pub(crate) enum ResponseBody<B> {
        Stream { #[pin] body: B },
        // Trailers say how it ended.
        Call { #[pin] body: B },
        // The last frame says how it ended.
        Framed { #[pin] body: B, call: Box<FramedCall> },
        // The proxy's own.
        Full { bytes: Bytes },
        Empty,
    }
}

/// Why a response body broke off.
///
/// A type of its own where hyper wants an error that becomes a boxed one: for a boxed one itself
/// the compiler cannot prove that a task may go to another thread.
#[derive(Debug)]
pub(crate) struct Broken(BoxError);

impl Broken {
    pub(crate) fn new(error: BoxError) -> Self {
        Self(error)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.as_mut().project() {
            ResponseBodyProj::Stream { body } => stripped(body.poll_frame(cx)).map_err(|error| {
                let error = error.into();
                if is_too_large(&error) {
                    tracing::debug!(%error, limit = "--max-head-bytes", "response broken off");
                }
                Broken(error)
            }),
            ResponseBodyProj::Call { body } => {
                let polled = stripped(body.poll_frame(cx)).map_err(Into::into);
                if let Poll::Ready(Some(Err(error))) = &polled
                    && let Some(trailers) = trailers_for(error)
                {
                    self.set(Self::Empty);
                    return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
                }
                polled.map_err(Broken)
            }
            ResponseBodyProj::Framed { body, call } => {
                let polled = stripped(body.poll_frame(cx)).map_err(Into::into);
                match &polled {
                    Poll::Ready(Some(Ok(frame))) => {
                        if let Some(data) = frame.data_ref() {
                            call.reader.read(data);
                        }
                    }
                    Poll::Ready(Some(Err(error))) => {
                        if let Some(last) = call.too_late(error) {
                            self.set(Self::Empty);
                            return Poll::Ready(Some(Ok(Frame::data(last))));
                        }
                    }
                    _ => {}
                }
                polled.map_err(Broken)
            }
            ResponseBodyProj::Full { bytes } => {
                let bytes = std::mem::take(bytes);
                let frame = (!bytes.is_empty()).then(|| Ok(Frame::data(bytes)));
                Poll::Ready(frame)
            }
            ResponseBodyProj::Empty => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream { body } | Self::Call { body } | Self::Framed { body, .. } => {
                body.is_end_stream()
            }
            Self::Full { bytes } => bytes.is_empty(),
            Self::Empty => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stream { body } | Self::Call { body } | Self::Framed { body, .. } => {
                body.size_hint()
            }
            Self::Full { bytes } => SizeHint::with_exact(bytes.len() as u64),
            Self::Empty => SizeHint::with_exact(0),
        }
    }
}
