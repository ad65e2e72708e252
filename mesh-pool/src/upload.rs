use crate::CallerFault;
use bytes::Bytes;
use http::Request;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mesh_core::BoxError;
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep, sleep_until};

/// A request body on its way out over HTTP/1, or the absence of one.
pub(crate) struct Upload<B> {
    inner: Option<B>,
    sending: Option<Sending>,
    gap: Option<Gap>,
}

/// A limit on the silence of the caller.
struct Gap {
    limit: Duration,
    /// Made when there is first something to wait for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Something has come since the timer was set.
    heard: bool,
}

/// The upload of a request body, seen from the request.
pub(crate) enum Uploaded<B> {
    /// Nothing; the empty body waits here, should the request have to go elsewhere.
    Nothing(B),
    /// Something, which has ended, one way or another, when this is set.
    Body(Arc<AtomicBool>),
}

/// Sets the flag when dropped.
struct Sending(Arc<AtomicBool>);

impl<B: HttpBody> Upload<B> {
    /// `gap` is how long the caller may be silent in the middle of it.
    pub(crate) fn new(body: B, gap: Option<Duration>) -> (Self, Uploaded<B>) {
        if body.is_end_stream() {
            return (Self::empty(), Uploaded::Nothing(body));
        }
        let flag = Arc::new(AtomicBool::new(false));
        let upload = Self {
            inner: Some(body),
            sending: Some(Sending(flag.clone())),
            gap: gap.map(|limit| Gap {
                limit,
                timer: None,
                heard: true,
            }),
        };
        (upload, Uploaded::Body(flag))
    }

    pub(crate) fn empty() -> Self {
        Self {
            inner: None,
            sending: None,
            gap: None,
        }
    }
}

impl<B> Uploaded<B>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
{
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Nothing(_) => true,
            Self::Body(flag) => flag.load(Relaxed),
        }
    }

    /// Returns true if the request had no body.
    pub(crate) fn was_empty(&self) -> bool {
        matches!(self, Self::Nothing(_))
    }

    /// `req` as it came, if none of its body was read.
    pub(crate) fn unsent(self, req: Request<Upload<B>>) -> Option<Request<B>> {
        let (parts, upload) = req.into_parts();
        let body = match self {
            Self::Nothing(body) => body,
            Self::Body(_) => upload.inner?,
        };
        Some(Request::from_parts(parts, body))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

impl Gap {
    /// Ready when the silence has lasted too long. The timer is set at most once per limit, however
    /// many frames come, so that a silence is noticed after one to two times the limit.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CallerFault> {
        loop {
            if let Some(timer) = &mut self.timer {
                ready!(timer.as_mut().poll(cx));
                if !self.heard {
                    return Poll::Ready(CallerFault::SilentBody(self.limit));
                }
            }
            self.heard = false;
            let Some(at) = Instant::now().checked_add(self.limit) else {
                return Poll::Pending;
            };
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(at),
                None => self.timer = Some(Box::pin(sleep_until(at))),
            }
        }
    }
}

impl<B> HttpBody for Upload<B>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut *inner).poll_frame(cx);
        let over = match &polled {
            Poll::Pending => false,
            Poll::Ready(Some(Ok(_))) => inner.is_end_stream(),
            Poll::Ready(_) => true,
        };
        if over {
            this.sending = None;
        }
        if let Some(gap) = &mut this.gap {
            if polled.is_ready() {
                gap.heard = true;
            } else {
                let silent = ready!(gap.poll(cx));
                this.sending = None;
                return Poll::Ready(Some(Err(silent.into())));
            }
        }
        polled.map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}
