//! The beginning of an HTTP/2 request's body, kept until its stream is answered.
//!
//! A peer that says GOAWAY names the last stream that it looks at. Streams that were on their way
//! to it are provably unprocessed, whatever their method, but what was read of their bodies is on
//! the wire: only what is kept can be sent again.

use bytes::Bytes;
use http::{Extensions, HeaderMap};
use http_body::{Body as HttpBody, Frame, SizeHint};
use mesh_core::BoxError;
use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// Bytes that are kept of one body: what HTTP/2 lets anybody send of it, unless the peer has said
/// that it may be more.
const MOST: usize = 65_535;

/// A body on its way out, which can be had back while it is no longer than [`MOST`].
pub(super) struct Kept<B>(Arc<Mutex<State<B>>>);

struct State<B> {
    /// Absent when it was taken back.
    body: Option<B>,
    read: Vec<Part>,
    /// How many of `read` have been sent over the present stream.
    sent: usize,
    /// Bytes of `read`; None when there were too many, or nobody may want them any more.
    kept: Option<usize>,
}

enum Part {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// What was read of a body before it was taken back, in the extensions of its request.
#[derive(Clone)]
struct Beginning(Arc<Mutex<Vec<Part>>>);

impl<B> Kept<B>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
{
    /// Continues what `extensions` say was taken back before.
    pub(super) fn new(body: B, extensions: &mut Extensions) -> Self {
        let beginning = extensions.remove::<Beginning>();
        let read = beginning.map_or_else(Vec::new, |Beginning(parts)| {
            mem::take(&mut *parts.lock().unwrap_or_else(PoisonError::into_inner))
        });
        let kept = Some(bytes(&read));
        Self(Arc::new(Mutex::new(State {
            body: Some(body),
            read,
            sent: 0,
            kept,
        })))
    }

    /// Whether a request with these extensions has more body than its body says.
    pub(super) fn is_in(extensions: &Extensions) -> bool {
        extensions.get::<Beginning>().is_some()
    }

    /// The body, as if nothing had been read of it, for a request with these extensions; None if
    /// too much was. Whoever still reads it gets an end that is an error.
    pub(super) fn take_back(&self, extensions: &mut Extensions) -> Option<B> {
        let mut state = self.state();
        state.kept?;
        let body = state.body.take()?;
        if !state.read.is_empty() {
            let read = mem::take(&mut state.read);
            extensions.insert(Beginning(Arc::new(Mutex::new(read))));
        }
        Some(body)
    }

    /// Keeps nothing from now on: the peer has looked at it.
    pub(super) fn arrived(&self) {
        let mut state = self.state();
        state.kept = None;
        let sent = state.sent;
        state.read.drain(..sent);
        state.sent = 0;
    }

    pub(super) fn poll_frame(
        &self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        let mut state = self.state();
        let state = &mut *state;
        if let Some(part) = state.read.get(state.sent) {
            state.sent += 1;
            return Poll::Ready(Some(Ok(part.frame())));
        }
        let Some(body) = &mut state.body else {
            return Poll::Ready(Some(Err("the request went elsewhere".into())));
        };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        if let Some(kept) = state.kept {
            let part = Part::of(&frame);
            let more = kept.saturating_add(part.as_ref().map_or(0, Part::bytes));
            if more <= MOST {
                state.kept = Some(more);
                state.read.extend(part);
                state.sent = state.read.len();
            } else {
                state.kept = None;
                state.read = Vec::new();
                state.sent = 0;
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = self.state();
        let rest = state.body.as_ref().is_none_or(HttpBody::is_end_stream);
        rest && state.sent == state.read.len()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = self.state();
        let mut hint = state.body.as_ref().map(B::size_hint).unwrap_or_default();
        let unsent = bytes(&state.read[state.sent..]) as u64;
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(unsent));
        }
        hint.set_lower(hint.lower().saturating_add(unsent));
        hint
    }
}

impl<B> Kept<B> {
    fn state(&self) -> MutexGuard<'_, State<B>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<B> Clone for Kept<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl Part {
    fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(_) => 0,
        }
    }

    fn of(frame: &Frame<Bytes>) -> Option<Self> {
        let data = frame.data_ref().cloned().map(Self::Data);
        data.or_else(|| frame.trailers_ref().cloned().map(Self::Trailers))
    }

    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }
}

fn bytes(parts: &[Part]) -> usize {
    parts.iter().map(Part::bytes).sum()
}
