//! The beginning of an HTTP/2 request's body, kept until its stream is answered.
//!
//! A peer that says GOAWAY names the last stream that it looks at. Streams that were on their way
//! to it are provably unprocessed, whatever their method, but what was read of their bodies is on
//! the wire: only what is kept can be sent again.

mod read;

use self::read::Read;
use bytes::Bytes;
use http::Extensions;
use http_body::{Body as HttpBody, Frame, SizeHint};
use mesh_core::BoxError;
use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

/// A body on its way out, which can be had back while what was read of it is kept.
pub(super) struct Kept<B>(Arc<Mutex<State<B>>>);

struct State<B> {
    /// Absent when it was taken back.
    body: Option<B>,
    read: Read,
    /// How many parts of `read` have been sent over the present stream.
    sent: usize,
    /// What is read is kept. Not when it was too much, or nobody may want it any more.
    keeps: bool,
    /// Bytes that all bodies of the process may keep.
    ceiling: usize,
}

/// What was read of a body before it was taken back, in the extensions of its request.
#[derive(Clone)]
struct Beginning(Arc<Mutex<Read>>);

impl<B> Kept<B>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
{
    /// Continues what `extensions` say was taken back before.
    pub(super) fn new(body: B, extensions: &mut Extensions, ceiling: usize) -> Self {
        let beginning = extensions.remove::<Beginning>();
        let read = beginning.map_or_else(Read::default, |Beginning(read)| {
            mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Self(Arc::new(Mutex::new(State {
            body: Some(body),
            read,
            sent: 0,
            keeps: true,
            ceiling,
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
        if !state.keeps {
            return None;
        }
        let body = state.body.take()?;
        let read = mem::take(&mut state.read);
        state.sent = 0;
        if !read.is_empty() {
            extensions.insert(Beginning(Arc::new(Mutex::new(read))));
        }
        Some(body)
    }

    /// Keeps nothing from now on but what is yet to be sent: the peer has looked at it.
    pub(super) fn arrived(&self) {
        let mut state = self.state();
        state.keeps = false;
        if state.sent == state.read.len() {
            state.forget();
        }
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
        if let Some(frame) = state.read.get(state.sent) {
            state.sent += 1;
            if !state.keeps && state.sent == state.read.len() {
                state.forget();
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        let Some(body) = &mut state.body else {
            return Poll::Ready(Some(Err("the request went elsewhere".into())));
        };
        let frame = match ready!(Pin::new(body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        if state.keeps {
            state.keeps = state.read.keep(&frame, state.ceiling);
            match state.keeps {
                true => state.sent = state.read.len(),
                false => state.forget(),
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = self.state();
        // One that was taken back does not end here.
        let rest = state.body.as_ref().is_some_and(HttpBody::is_end_stream);
        rest && state.sent == state.read.len()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = self.state();
        let mut hint = state.body.as_ref().map(B::size_hint).unwrap_or_default();
        let unsent = state.read.bytes_from(state.sent);
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

impl<B> State<B> {
    fn forget(&mut self) {
        self.read = Read::default();
        self.sent = 0;
    }
}

impl<B> Clone for Kept<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use http_body_util::StreamBody;
    use std::{convert::Infallible, future::poll_fn};

    /// Enough, whatever other tests keep.
    const PLENTY: usize = 1 << 30;

    type Frames = std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>;
    type TestBody = StreamBody<futures_util::stream::Iter<Frames>>;

    /// A body of these lengths.
    fn body(lengths: impl IntoIterator<Item = usize>) -> TestBody {
        let frames = lengths.into_iter().enumerate().map(|(n, length)| {
            let byte = u8::try_from(n % 251).unwrap();
            Ok(Frame::data(vec![byte; length].into()))
        });
        StreamBody::new(futures_util::stream::iter(frames.collect::<Vec<_>>()))
    }

    /// All that there is to read of it.
    fn drain(kept: &Kept<TestBody>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|cx| kept.poll_frame(cx)).now_or_never().unwrap() {
            all.extend(frame.unwrap().into_data().unwrap());
        }
        all
    }

    #[test]
    fn a_body_of_tiny_frames_is_kept_in_few_parts_and_comes_back_whole() {
        let mut extensions = Extensions::new();
        let kept = Kept::new(
            body(std::iter::repeat_n(1, read::MOST)),
            &mut extensions,
            PLENTY,
        );
        let all = drain(&kept);
        assert_eq!(all.len(), read::MOST);
        assert!(kept.state().read.len() <= read::MAX_FRAMES);
        let rest = kept.take_back(&mut extensions).unwrap();
        let again = Kept::new(rest, &mut extensions, PLENTY);
        assert_eq!(again.size_hint().lower(), read::MOST as u64);
        assert_eq!(drain(&again), all);
        // Neither does it grow by being sent again.
        assert!(again.take_back(&mut extensions).is_some());
    }

    #[test]
    fn all_bodies_together_are_kept_up_to_the_ceiling() {
        const CEILING: usize = 2 << 20;
        let kept: Vec<_> = (0..100)
            .map(|_| {
                let kept = Kept::new(body([60_000]), &mut Extensions::new(), CEILING);
                assert_eq!(drain(&kept).len(), 60_000);
                kept
            })
            .collect();
        let back = |kept: &Kept<_>| kept.take_back(&mut Extensions::new()).is_some();
        let n = kept.iter().filter(|kept| back(kept)).count();
        // The others of these tests keep two bodies at the most.
        let fit = CEILING / 60_000;
        assert!((fit - 4..=fit).contains(&n), "{n}");
        // What was taken back is dropped with its request: there is room again.
        let next = Kept::new(body([60_000]), &mut Extensions::new(), CEILING);
        drain(&next);
        assert!(back(&next));
    }

    #[test]
    fn a_body_that_was_taken_back_has_no_end_and_no_length() {
        let kept = Kept::new(body([5, 5]), &mut Extensions::new(), PLENTY);
        poll_fn(|cx| kept.poll_frame(cx)).now_or_never().unwrap();
        kept.take_back(&mut Extensions::new()).unwrap();
        assert_eq!(kept.size_hint().lower(), 0);
        assert!(!kept.is_end_stream());
        let next = poll_fn(|cx| kept.poll_frame(cx)).now_or_never().unwrap();
        assert!(next.unwrap().is_err());
    }

    #[test]
    fn what_the_peer_has_looked_at_is_not_kept() {
        let mut extensions = Extensions::new();
        let kept = Kept::new(body([5, 5]), &mut extensions, PLENTY);
        drain(&kept);
        let rest = kept.take_back(&mut extensions).unwrap();
        let again = Kept::new(rest, &mut extensions, PLENTY);
        again.arrived();
        assert_eq!(drain(&again).len(), 10);
        assert!(again.state().read.is_empty());
        assert!(again.take_back(&mut extensions).is_none());
    }
}
