//! One stream of an HTTP/2 connection.
//!
//! The task that waits for the response sends the request, its body included. So a request needs
//! no task of its own and no message to one, which saves wake-ups and allocations. Only the rest of
//! a body that is not sent when the response begins is left to a task, as a caller that reads
//! nothing until it has sent everything would otherwise wait for itself.

use crate::{ending::Ending, framing, kept::Kept};
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, client::ResponseFuture};
use http::Response;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mesh_core::{BoxError, Fault};
use std::{
    error::Error,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// A request that was given to a connection, with its body, until there is an answer. Dropped
/// before, it is cancelled.
pub(super) struct Stream<B> {
    answer: ResponseFuture,
    upload: Upload<B>,
}

/// A request body on its way out.
struct Upload<B> {
    stream: SendStream<Bytes>,
    body: Kept<B>,
    /// Data for which there is no window, and whether it is the last.
    waiting: Option<(Bytes, bool)>,
    /// Something was sent.
    begun: bool,
    /// All is sent, or nobody wants the rest.
    over: bool,
}

impl<B> Stream<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// A stream whose head is on its way, with the body if there is any.
    pub(super) fn new(answer: ResponseFuture, stream: SendStream<Bytes>, body: Kept<B>) -> Self {
        Self {
            answer,
            upload: Upload {
                over: body.is_end_stream(),
                stream,
                body,
                waiting: None,
                begun: false,
            },
        }
    }

    /// The head of the answer.
    pub(super) async fn answer(&mut self) -> Result<Response<RecvStream>, h2::Error> {
        poll_fn(|cx| {
            // A reset shows in the answer.
            let _ = self.upload.poll(cx);
            Pin::new(&mut self.answer).poll(cx)
        })
        .await
    }

    /// The body, to be sent again.
    pub(super) fn into_body(self) -> Kept<B> {
        self.upload.body
    }

    /// Returns true if the body can be taken back.
    pub(super) fn is_whole(&self) -> bool {
        self.upload.body.is_whole()
    }

    /// Goes on with what is left of the body, of which nothing is kept any more: the peer has
    /// looked at it.
    pub(super) fn arrived(self) {
        let mut upload = self.upload;
        if !upload.over {
            upload.body.arrived();
            tokio::spawn(poll_fn(move |cx| upload.poll_alone(cx)));
        }
    }
}

impl<B> Upload<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    /// Sends what there is to send.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.over {
            if let Some((data, last)) = self.waiting.take() {
                if self.begun && !data.is_empty() && self.stream.capacity() == 0 {
                    let more = self.stream.poll_capacity(cx);
                    // Anything else is the end of the stream.
                    self.over = !matches!(more, Poll::Pending | Poll::Ready(Some(Ok(_))));
                    self.waiting = Some((data, last));
                    ready!(more);
                    continue;
                }
                // The first does not wait for a window: there is none before the head has left,
                // and together with it a short body costs one write, not two.
                self.begun = true;
                self.over = self.stream.send_data(data, last).is_err() || last;
                continue;
            }
            match ready!(self.body.poll_frame(cx)) {
                Some(Ok(frame)) => self.take(frame),
                Some(Err(error)) => {
                    self.stream.send_reset(reason(&*error.into()));
                    self.over = true;
                }
                None => self.waiting = Some((Bytes::new(), true)),
            }
        }
        Poll::Ready(())
    }

    fn take(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                // No more than a byte: what waits for all that it can use leaves others waiting.
                self.stream
                    .reserve_capacity(u8::from(!data.is_empty()).into());
                self.waiting = Some((data, self.body.is_end_stream()));
            }
            Err(frame) => {
                if let Ok(trailers) = frame.into_trailers() {
                    let _ = self.stream.send_trailers(trailers);
                    self.over = true;
                }
            }
        }
    }

    /// The same where nobody waits for an answer that a reset would show in.
    fn poll_alone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.stream.poll_reset(cx).map(|_| ())
    }
}

/// The reset code that the peer gets for a broken body: the caller's, if it sent one.
fn reason(error: &(dyn Error + 'static)) -> Reason {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<h2::Error>() {
            return error.reason().unwrap_or(Reason::INTERNAL_ERROR);
        }
        next = error.source();
    }
    Reason::INTERNAL_ERROR
}

/// A response body.
#[derive(Debug)]
pub(super) struct Download {
    stream: RecvStream,
    /// Only the trailers are left.
    data_over: bool,
    /// Nothing is. Each of the layers asks after each frame, and to ask the stream takes a lock.
    over: bool,
    /// Bytes that the trailers may have.
    limit: usize,
    /// Shows that the connection is in use.
    _ending: Arc<Ending>,
}

impl Download {
    pub(super) fn new(stream: RecvStream, ending: Arc<Ending>, limit: usize) -> Self {
        Self {
            over: stream.is_end_stream(),
            _ending: ending,
            stream,
            data_over: false,
            limit,
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.data_over {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // It fails where the stream is over, which needs no window.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    self.over = self.stream.is_end_stream();
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => return Poll::Ready(broken(error)),
                None => self.data_over = true,
            }
        }
        let trailers = ready!(self.stream.poll_trailers(cx));
        self.over = true;
        Poll::Ready(match trailers {
            Ok(Some(trailers)) if framing::size(&trailers) > self.limit => {
                Some(Err(Broken::Trailers(TrailersTooLarge(self.limit))))
            }
            Ok(trailers) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
            Err(error) => broken(error),
        })
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.over
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.over {
            true => SizeHint::with_exact(0),
            // What the head says goes with the head.
            false => SizeHint::default(),
        }
    }
}

/// A reset that says "no error" is the end: the answer did not need the rest of the request (RFC
/// 9113, 8.1).
fn broken<T>(error: h2::Error) -> Option<Result<T, Broken>> {
    (error.reason() != Some(Reason::NO_ERROR)).then_some(Err(Broken::Stream(error)))
}

/// Why a response broke off.
///
/// The error of HTTP/2 is its source, where those look who pass its reason on.
#[derive(Debug)]
pub(super) enum Broken {
    Stream(h2::Error),
    Trailers(TrailersTooLarge),
}

/// The trailers of a response over HTTP/2 have more bytes than the head of one may have: a source
/// of the error of its body.
#[derive(Clone, Copy, Debug)]
pub struct TrailersTooLarge(usize);

impl fmt::Display for TrailersTooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "trailers of more than {} bytes", self.0)
    }
}

impl Error for TrailersTooLarge {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Protocol)
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause: &dyn fmt::Display = match self {
            Self::Stream(error) => error,
            Self::Trailers(error) => error,
        };
        write!(f, "the response broke off: {cause}")
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match self {
            Self::Stream(error) => error,
            Self::Trailers(error) => error,
        })
    }
}
