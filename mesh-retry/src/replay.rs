use crate::memory::Reservation;
use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use mesh_core::RetrySkipped;
use std::{
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// A request body that can be sent again, up to a limit.
///
/// The first attempt's frames are kept while it reads them. A further attempt reads the kept
/// frames, then the rest of the original, then its trailers. Past the limit nothing is kept, and the
/// body streams through.
///
/// Frames of [`Bytes`] are kept without a copy.
pub struct ReplayBody<B>(Kind<B>);

enum Kind<B> {
    /// Sent once.
    Once(B),
    /// The body is empty.
    Empty,
    Kept {
        shared: Shared<B>,
        /// Index of the next kept frame.
        next: usize,
        trailers_given: bool,
    },
}

/// A request body as a retry layer keeps it.
pub(crate) enum Original<B> {
    Empty,
    Kept(Shared<B>),
    /// The declared length is above the limit.
    TooLarge,
}

type Shared<B> = Arc<Mutex<SharedBody<B>>>;

/// The original body and its kept frames, shared by all attempts.
pub(crate) struct SharedBody<B> {
    body: B,
    stage: Stage,
    frames: Vec<Bytes>,
    len: usize,
    trailers: Option<HeaderMap>,
    /// Number of attempts that still hold the body.
    holders: usize,
    max: usize,
    ceiling: usize,
    reserved: Reservation,
}

/// Progress of reading the original body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Frames are kept.
    Keeping,
    /// Frames pass through; a retry is skipped for this reason.
    Streaming(RetrySkipped),
    /// The whole body is kept.
    Complete,
    /// The body ended with an error.
    Broken,
}

/// Largest number of kept frames. More are joined, so that many tiny frames do not take many
/// times their size.
const MAX_FRAMES: usize = 64;

impl<B: Body + Unpin> ReplayBody<B> {
    pub(crate) fn once(body: B) -> Self {
        Self(Kind::Once(body))
    }

    /// Returns the body of the first attempt and the original for further ones.
    ///
    /// `content_length` reads the head's length, which a body may not know; it is called only if
    /// the body is not empty.
    pub(crate) fn keep(
        body: B,
        content_length: impl FnOnce() -> Option<u64>,
        max: usize,
        ceiling: usize,
    ) -> (Self, Original<B>) {
        if body.is_end_stream() {
            return (Self(Kind::Empty), Original::Empty);
        }
        let least = body.size_hint().lower().max(content_length().unwrap_or(0));
        if least > max as u64 {
            return (Self::once(body), Original::TooLarge);
        }
        let original = Original::Kept(Arc::new(Mutex::new(SharedBody {
            body,
            stage: Stage::Keeping,
            frames: Vec::new(),
            len: 0,
            trailers: None,
            holders: 0,
            max,
            ceiling,
            reserved: Reservation::default(),
        })));
        (original.replay(), original)
    }
}

impl<B> Original<B> {
    /// Returns the body for another attempt, from its beginning.
    pub(crate) fn replay(&self) -> ReplayBody<B> {
        ReplayBody(match self {
            Self::Kept(shared) => {
                lock(shared).holders += 1;
                Kind::Kept {
                    shared: shared.clone(),
                    next: 0,
                    trailers_given: false,
                }
            }
            Self::Empty | Self::TooLarge => Kind::Empty,
        })
    }

    /// Returns the reason why the body cannot be sent again now, or `None` if it can.
    pub(crate) fn skipped(&self) -> Option<RetrySkipped> {
        match self {
            Self::Empty => None,
            Self::TooLarge => Some(RetrySkipped::BodyTooLarge),
            Self::Kept(shared) => {
                let state = lock(shared);
                match state.stage {
                    Stage::Complete => None,
                    // The last attempt was dropped, so the next one reads the rest.
                    Stage::Keeping if state.holders == 0 => None,
                    Stage::Keeping | Stage::Broken => Some(RetrySkipped::BodyIncomplete),
                    Stage::Streaming(reason) => Some(reason),
                }
            }
        }
    }

    /// Stops keeping frames, as the current attempt is the last.
    pub(crate) fn release(&self) {
        if let Self::Kept(shared) = self {
            let mut state = lock(shared);
            if state.stage == Stage::Keeping {
                state.stage = Stage::Streaming(RetrySkipped::BodyIncomplete);
            }
        }
    }
}

fn lock<B>(shared: &Shared<B>) -> MutexGuard<'_, SharedBody<B>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<B: Body + Unpin> SharedBody<B> {
    /// Reads the original's next frame, and keeps it within the limits. `next` is the number of kept
    /// frames that the attempt has read.
    fn poll_original(
        &mut self,
        next: &mut usize,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if matches!(self.stage, Stage::Streaming(_)) {
            self.forget(next);
        }
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => into_bytes(frame),
            Some(Err(error)) => {
                self.stage = Stage::Broken;
                self.forget(next);
                return Poll::Ready(Some(Err(error)));
            }
            None => {
                self.end();
                return Poll::Ready(None);
            }
        };
        if self.stage == Stage::Keeping {
            if let Some(data) = frame.data_ref() {
                self.keep_data(data.clone(), next);
            } else if let Some(trailers) = frame.trailers_ref() {
                self.trailers = Some(trailers.clone());
                self.end();
            }
        }
        if self.body.is_end_stream() {
            self.end();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn keep_data(&mut self, data: Bytes, next: &mut usize) {
        let reason = if data.len() > self.max.saturating_sub(self.len) {
            RetrySkipped::BodyTooLarge
        } else if !self.reserved.grow(data.len(), self.ceiling) {
            RetrySkipped::NoMemory
        } else {
            self.len += data.len();
            if self.frames.len() == MAX_FRAMES {
                let mut joined = BytesMut::with_capacity(self.len);
                joined.extend(self.frames.drain(..));
                self.frames.push(joined.freeze());
            }
            self.frames.push(data);
            *next = self.frames.len();
            return;
        };
        self.stage = Stage::Streaming(reason);
        self.forget(next);
    }

    fn end(&mut self) {
        if self.stage == Stage::Keeping {
            self.stage = Stage::Complete;
        }
    }

    fn forget(&mut self, next: &mut usize) {
        self.frames = Vec::new();
        self.reserved.clear();
        *next = 0;
    }
}

fn into_bytes<D: Buf>(frame: Frame<D>) -> Frame<Bytes> {
    frame.map_data(|mut data| data.copy_to_bytes(data.remaining()))
}

impl<B: Body + Unpin> Body for ReplayBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut self.get_mut().0 {
            Kind::Once(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map(into_bytes))),
            Kind::Empty => Poll::Ready(None),
            Kind::Kept {
                shared,
                next,
                trailers_given,
            } => {
                let mut state = lock(shared);
                if let Some(frame) = state.frames.get(*next) {
                    *next += 1;
                    return Poll::Ready(Some(Ok(Frame::data(frame.clone()))));
                }
                if state.stage != Stage::Complete {
                    if state.stage == Stage::Broken {
                        return Poll::Ready(None);
                    }
                    let frame = ready!(state.poll_original(next, cx));
                    *trailers_given = matches!(&frame, Some(Ok(frame)) if frame.is_trailers());
                    return Poll::Ready(frame);
                }
                if *trailers_given {
                    return Poll::Ready(None);
                }
                *trailers_given = true;
                let trailers = state.trailers.clone();
                Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Once(body) => body.is_end_stream(),
            Kind::Empty => true,
            Kind::Kept {
                shared,
                next,
                trailers_given,
            } => {
                let state = lock(shared);
                let given = *next >= state.frames.len();
                match state.stage {
                    Stage::Complete => given && (*trailers_given || state.trailers.is_none()),
                    Stage::Broken => true,
                    _ => given && state.body.is_end_stream(),
                }
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Once(body) => body.size_hint(),
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Kept { shared, next, .. } => {
                let state = lock(shared);
                let rest = state.frames.get(*next..).unwrap_or_default();
                let kept: u64 = rest.iter().map(|frame| frame.len() as u64).sum();
                let live = match state.stage {
                    Stage::Complete | Stage::Broken => SizeHint::with_exact(0),
                    _ => state.body.size_hint(),
                };
                let mut hint = SizeHint::new();
                if let Some(upper) = live.upper() {
                    hint.set_upper(upper.saturating_add(kept));
                }
                hint.set_lower(live.lower().saturating_add(kept));
                hint
            }
        }
    }
}

impl<B> Drop for ReplayBody<B> {
    fn drop(&mut self) {
        if let Kind::Kept { shared, .. } = &self.0 {
            lock(shared).holders -= 1;
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Once(_) => "ReplayBody(once)",
            Kind::Empty => "ReplayBody(empty)",
            Kind::Kept { .. } => "ReplayBody(kept)",
        })
    }
}

#[cfg(test)]
mod tests;
