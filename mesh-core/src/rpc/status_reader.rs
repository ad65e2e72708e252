use super::{base64, end};
use bytes::Buf;
use http::{HeaderMap, header::CONTENT_TYPE};
use std::io::IoSlice;

/// Reads the status of a call out of its response body, as the body passes: the last frame of
/// gRPC-web and of a Connect stream.
///
/// Messages are passed over; of the last frame up to 16 KiB are kept. A last frame that is larger
/// or compressed is not read.
#[derive(Debug)]
pub struct StatusReader {
    format: Format,
    /// The body is text.
    base64: Option<base64::Decoder>,
    state: State,
}

/// Bytes of a last frame that are kept.
const MOST: usize = 16 * 1024;

/// Bytes of a frame's head: flags and a length.
const HEAD: usize = 5;

/// The frame is compressed.
const COMPRESSED: u8 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    GrpcWeb,
    Connect,
}

impl Format {
    /// The flag of the last frame.
    fn last(self) -> u8 {
        match self {
            Self::GrpcWeb => 0x80,
            Self::Connect => 2,
        }
    }
}

#[derive(Debug)]
enum State {
    /// The head of a frame, as far as it is here.
    Head([u8; HEAD], usize),
    /// Bytes missing of a message.
    Message(usize),
    /// The last frame as far as it is here, and its length.
    Last(Vec<u8>, usize),
    /// The end, and the trailers that it stands for, if it could be read.
    Ended(Option<HeaderMap>),
    /// The body is something else.
    Lost,
}

impl StatusReader {
    /// The reader for the body of a response with these headers; `None` if its content type has no
    /// status in the body.
    pub fn of(response: &HeaderMap) -> Option<Self> {
        let kind = response.get(CONTENT_TYPE)?.as_bytes();
        let kind = kind.strip_prefix(b"application/")?;
        let format = match kind {
            kind if kind.starts_with(b"grpc-web") => Format::GrpcWeb,
            kind if kind.starts_with(b"connect+") => Format::Connect,
            _ => return None,
        };
        let is_text = kind.starts_with(b"grpc-web-text");
        Some(Self {
            format,
            base64: is_text.then(base64::Decoder::default),
            state: State::Head([0; HEAD], 0),
        })
    }

    /// Reads the next bytes of the body, and leaves them where they are.
    pub fn read(&mut self, data: &impl Buf) {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = data.chunks_vectored(&mut slices);
        let slices = &slices[..count];
        if slices.iter().map(|slice| slice.len()).sum::<usize>() != data.remaining() {
            // A buffer in more pieces, or one that shows only its first.
            self.state = State::Lost;
        }
        for slice in slices {
            self.read_slice(slice);
        }
    }

    fn read_slice(&mut self, bytes: &[u8]) {
        let Some(mut decoder) = self.base64 else {
            return self.read_frames(bytes);
        };
        for char in bytes {
            match decoder.push(*char) {
                Ok(None) => {}
                Ok(Some(group)) => self.read_frames(group.as_slice()),
                Err(base64::Invalid) => self.lose(),
            }
            if matches!(self.state, State::Ended(_) | State::Lost) {
                break;
            }
        }
        self.base64 = Some(decoder);
    }

    fn lose(&mut self) {
        if !matches!(self.state, State::Ended(_)) {
            self.state = State::Lost;
        }
    }

    fn read_frames(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Head(head, filled) => {
                    let taken = (HEAD - *filled).min(bytes.len());
                    head[*filled..][..taken].copy_from_slice(&bytes[..taken]);
                    *filled += taken;
                    taken
                }
                State::Message(rest) => {
                    let taken = (*rest).min(bytes.len());
                    *rest -= taken;
                    taken
                }
                State::Last(frame, length) => {
                    let taken = (*length - frame.len()).min(bytes.len());
                    frame.extend_from_slice(&bytes[..taken]);
                    taken
                }
                State::Ended(_) | State::Lost => return,
            };
            bytes = &bytes[taken..];
            self.advance();
        }
    }

    /// Goes on to the next part of a frame if this one is whole.
    fn advance(&mut self) {
        match &self.state {
            State::Head([flags, length @ ..], HEAD) => {
                let length = u32::from_be_bytes(*length) as usize;
                self.state = self.frame(*flags, length);
                // It may be empty.
                if !matches!(self.state, State::Head(..)) {
                    self.advance();
                }
            }
            State::Message(0) => self.state = State::Head([0; HEAD], 0),
            State::Last(frame, length) if frame.len() == *length => {
                let trailers = match self.format {
                    Format::GrpcWeb => Some(end::grpc_web(frame)),
                    Format::Connect => end::connect(frame),
                };
                self.state = State::Ended(trailers);
            }
            _ => {}
        }
    }

    fn frame(&self, flags: u8, length: usize) -> State {
        let last = self.format.last();
        if flags & !(last | COMPRESSED) != 0 {
            return State::Lost;
        }
        match (flags & last != 0, flags & COMPRESSED != 0) {
            (false, _) => State::Message(length),
            (true, false) if length <= MOST => State::Last(Vec::new(), length),
            (true, _) => State::Ended(None),
        }
    }

    /// The trailers of gRPC that the last frame has or stands for, once it has passed: its status,
    /// message and push-back.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        match &self.state {
            State::Ended(trailers) => trailers.as_ref(),
            _ => None,
        }
    }

    /// Returns true between two frames, none of which was the last: another could follow here.
    pub fn is_between_frames(&self) -> bool {
        matches!(self.state, State::Head(_, 0))
            && self
                .base64
                .is_none_or(|decoder| decoder.is_between_groups())
    }
}

#[cfg(test)]
mod tests;
