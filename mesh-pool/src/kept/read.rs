use crate::{framing, memory::Memory};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// Bytes that are kept of one body: what HTTP/2 lets anybody send of it, unless the peer has said
/// that it may be more.
pub(super) const MOST: usize = 65_535;

/// More frames than this are joined, so that a body of tiny ones does not take many times its
/// size.
pub(super) const MAX_FRAMES: usize = 64;

/// The part of a body that was read.
#[derive(Debug, Default)]
pub(super) struct Read {
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    memory: Memory,
}

impl Read {
    /// Frames, and the trailers.
    pub(super) fn len(&self) -> usize {
        self.frames.len() + usize::from(self.trailers.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One of [`len`](Self::len).
    pub(super) fn get(&self, part: usize) -> Option<Frame<Bytes>> {
        if let Some(data) = self.frames.get(part) {
            return Some(Frame::data(data.clone()));
        }
        let trailers = self.trailers.as_ref()?;
        (part == self.frames.len()).then(|| Frame::trailers(trailers.clone()))
    }

    /// Keeps one more; false if that is too much for one body, or for the process.
    pub(super) fn keep(&mut self, frame: &Frame<Bytes>, ceiling: usize) -> bool {
        if let Some(data) = frame.data_ref() {
            if !self.grow(data.len(), ceiling) {
                return false;
            }
            // Those that are empty say nothing.
            if !data.is_empty() {
                if self.frames.len() == MAX_FRAMES {
                    self.join();
                }
                self.frames.push(data.clone());
            }
        } else if let Some(trailers) = frame.trailers_ref() {
            if !self.grow(framing::size(trailers), ceiling) {
                return false;
            }
            self.trailers = Some(trailers.clone());
        }
        true
    }

    fn grow(&mut self, more: usize, ceiling: usize) -> bool {
        more <= MOST - self.memory.bytes() && self.memory.grow(more, ceiling)
    }

    /// Makes one of all frames. What was joined before is ours alone, and is not copied again.
    fn join(&mut self) {
        let mut frames = self.frames.drain(..);
        let mut joined = frames.next().map(BytesMut::from).unwrap_or_default();
        joined.extend(frames);
        self.frames.push(joined.freeze());
    }
}
