//! The beginning of an HTTP/2 request's body, kept until its stream is answered.
//!
//! A peer that says GOAWAY names the last stream that it looks at. Streams that were on their way
//! to it are provably unprocessed, whatever their method, but what was read of their bodies is on
//! the wire: only what is kept can be sent again.

mod read;

use self::read::Read;
use bytes::Bytes;
use http::{Extensions, Request};
use http_body::{Body as HttpBody, Frame};
use std::{
    mem,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

/// A body on its way out, which can be had back while what was read of it is kept.
pub(super) struct Kept<B> {
    body: B,
    read: Read,
    /// Number of parts of `read` that have been sent over the present stream.
    sent: usize,
    /// True while the parts read are kept: until they are too large or not needed any more.
    keeps: bool,
    /// Bytes that all bodies of the process may keep.
    ceiling: usize,
}

/// The part of a body that was read before it was taken back, in the extensions of its request.
#[derive(Clone)]
struct Beginning(Arc<Mutex<Read>>);

impl<B> Kept<B>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    /// Continues what `extensions` say was taken back before.
    pub(super) fn new(body: B, extensions: &mut Extensions, ceiling: usize) -> Self {
        let beginning = extensions.remove::<Beginning>();
        let read = beginning.map_or_else(Read::default, |Beginning(read)| {
            mem::take(&mut *read.lock().unwrap_or_else(PoisonError::into_inner))
        });
        Self {
            body,
            read,
            sent: 0,
            keeps: true,
            ceiling,
        }
    }

    /// Returns true if [`take_back`](Self::take_back) would return the request.
    pub(super) fn is_whole(&self) -> bool {
        self.keeps
    }

    /// A request with this head and the body, as if nothing had been read of it; None if too much
    /// was.
    pub(super) fn take_back(self, mut head: Request<()>) -> Option<Request<B>> {
        if !self.keeps {
            return None;
        }
        if !self.read.is_empty() {
            let beginning = Beginning(Arc::new(Mutex::new(self.read)));
            head.extensions_mut().insert(beginning);
        }
        Some(head.map(|()| self.body))
    }

    /// Keeps nothing from now on but what is yet to be sent: the peer has looked at it.
    pub(super) fn arrived(&mut self) {
        self.keeps = false;
        if self.sent == self.read.len() {
            self.forget();
        }
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if let Some(frame) = self.read.get(self.sent) {
            self.sent += 1;
            if !self.keeps && self.sent == self.read.len() {
                self.forget();
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if self.keeps
            && let Some(Ok(frame)) = &frame
        {
            self.keeps = self.read.keep(frame, self.ceiling);
            match self.keeps {
                true => self.sent = self.read.len(),
                false => self.forget(),
            }
        }
        Poll::Ready(frame)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.sent == self.read.len() && self.body.is_end_stream()
    }

    fn forget(&mut self) {
        self.read = Read::default();
        self.sent = 0;
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

    fn keeping(body: TestBody, ceiling: usize) -> Kept<TestBody> {
        Kept::new(body, &mut Extensions::new(), ceiling)
    }

    fn sent_again(kept: Kept<TestBody>) -> Kept<TestBody> {
        let req = kept.take_back(Request::new(())).unwrap();
        let (mut parts, rest) = req.into_parts();
        Kept::new(rest, &mut parts.extensions, PLENTY)
    }

    /// All that there is to read of it.
    fn drain(kept: &mut Kept<TestBody>) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|cx| kept.poll_frame(cx)).now_or_never().unwrap() {
            all.extend(frame.unwrap().into_data().unwrap());
        }
        all
    }

    #[test]
    fn a_body_of_tiny_frames_is_kept_in_few_parts_and_comes_back_whole() {
        let mut kept = keeping(body(std::iter::repeat_n(1, read::MOST)), PLENTY);
        let all = drain(&mut kept);
        assert_eq!(all.len(), read::MOST);
        assert!(kept.read.len() <= read::MAX_FRAMES);
        let mut again = sent_again(kept);
        assert_eq!(drain(&mut again), all);
        // Neither does it grow by being sent again.
        assert!(again.take_back(Request::new(())).is_some());
    }

    #[test]
    fn all_bodies_together_are_kept_up_to_the_ceiling() {
        const CEILING: usize = 2 << 20;
        let kept: Vec<_> = (0..100)
            .map(|_| {
                let mut kept = keeping(body([60_000]), CEILING);
                assert_eq!(drain(&mut kept).len(), 60_000);
                kept
            })
            .collect();
        let n = kept.iter().filter(|kept| kept.is_whole()).count();
        // The others of these tests keep two bodies at the most.
        let fit = CEILING / 60_000;
        assert!((fit - 4..=fit).contains(&n), "{n}");
        drop(kept);
        let mut next = keeping(body([60_000]), CEILING);
        drain(&mut next);
        assert!(next.is_whole());
    }

    #[test]
    fn what_the_peer_has_looked_at_is_not_kept() {
        let mut kept = keeping(body([5, 5]), PLENTY);
        drain(&mut kept);
        let mut again = sent_again(kept);
        again.arrived();
        assert_eq!(drain(&mut again).len(), 10);
        assert!(again.read.is_empty());
        assert!(again.take_back(Request::new(())).is_none());
    }
}
