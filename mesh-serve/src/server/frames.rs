//! The frames of an HTTP/2 client, seen from its socket.

use super::pulse::Pulse;

/// Follows the frames that a client sends, without looking into them.
///
/// h2 tells nobody of a head that is under way, and of streams that are reset only those that
/// nobody has looked at count there.
#[derive(Debug)]
pub(super) struct Frames {
    /// Bytes missing of the preface, or of the payload of the current frame.
    rest: usize,
    /// That frame's header, as far as it is here.
    header: [u8; HEADER],
    filled: usize,
    /// A head has begun, and its last frame has not.
    in_head: bool,
}

/// RFC 9113, 3.4.
const PREFACE: usize = 24;

/// The length of a frame's header (4.1), and what stands in it (6).
const HEADER: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            rest: PREFACE,
            header: [0; HEADER],
            filled: 0,
            in_head: false,
        }
    }

    /// Takes note of what was read.
    pub(super) fn read(&mut self, mut bytes: &[u8], pulse: &Pulse) {
        loop {
            if self.rest > 0 {
                let skipped = self.rest.min(bytes.len());
                self.rest -= skipped;
                bytes = &bytes[skipped..];
                if self.rest > 0 {
                    break;
                }
                self.end(pulse);
            }
            let missing = (HEADER - self.filled).min(bytes.len());
            let (now, later) = bytes.split_at(missing);
            self.header[self.filled..][..missing].copy_from_slice(now);
            self.filled += missing;
            bytes = later;
            if self.filled < HEADER {
                break;
            }
            self.begin(pulse);
            if self.rest == 0 {
                self.end(pulse);
            }
        }
        pulse.in_frame(self.in_head || self.is_within() && self.kind() != Some(DATA));
    }

    fn begin(&mut self, pulse: &Pulse) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.rest = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        match kind {
            HEADERS | CONTINUATION => self.in_head = flags & END_HEADERS == 0,
            RST_STREAM => pulse.reset(),
            _ => {}
        }
    }

    fn end(&mut self, pulse: &Pulse) {
        self.filled = 0;
        if !self.in_head {
            pulse.whole_frame();
        }
    }

    /// Returns true in the middle of the preface or a frame.
    fn is_within(&self) -> bool {
        self.rest > 0 || self.filled > 0
    }

    /// Type of the current frame, once its header is read.
    fn kind(&self) -> Option<u8> {
        (self.filled == HEADER).then_some(self.header[3])
    }
}

#[cfg(test)]
mod tests {
    use super::{super::pulse::Phase, *};

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        let mut bytes = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        bytes.extend(payload);
        bytes
    }

    /// For each byte, `h` if a head is awaited after it.
    fn waits(bytes: &[u8]) -> (String, Pulse) {
        let (mut frames, pulse) = (Frames::new(), Pulse::default());
        frames.read(&[b'x'; PREFACE], &pulse);
        let wait = |byte: &u8| {
            frames.read(&[*byte], &pulse);
            match pulse.phase(true).0 {
                Phase::Head => 'h',
                _ => '-',
            }
        };
        (bytes.iter().map(wait).collect(), pulse)
    }

    #[test]
    fn a_head_is_under_way_from_its_first_byte_to_the_end_of_its_last_frame() {
        let (head, last) = (frame(HEADERS, 0, b"abc"), frame(CONTINUATION, 4, b"d"));
        let (seen, _) = waits(&[&head[..], &last].concat());
        assert_eq!(seen, "h".repeat(21) + "-");
        let (seen, _) = waits(&frame(HEADERS, END_HEADERS, b"ab"));
        assert_eq!(seen, "h".repeat(10) + "-");
        let empty = [frame(HEADERS, 0, b""), frame(CONTINUATION, 4, b"")].concat();
        assert_eq!(waits(&empty).0, "h".repeat(17) + "-");
        assert_eq!(waits(&frame(4, 0, b"abcdef")).0, "h".repeat(14) + "-");
    }

    #[test]
    fn a_body_that_is_under_way_is_no_head() {
        assert_eq!(waits(&frame(DATA, 0, b"abc")).0, "h".repeat(8) + "----");
    }

    #[test]
    fn the_same_is_seen_however_the_bytes_are_cut() {
        let bytes = [
            frame(HEADERS, END_HEADERS, b"abc"),
            frame(RST_STREAM, 0, b"1234"),
            frame(DATA, 1, b""),
            frame(RST_STREAM, 0, b"1234"),
            frame(HEADERS, 0, b"abc"),
        ]
        .concat();
        let (_, one_by_one) = waits(&bytes);
        let (mut frames, at_once) = (Frames::new(), Pulse::default());
        frames.read(&[&[b'x'; PREFACE][..], &bytes].concat(), &at_once);
        assert_eq!(at_once.phase(true), one_by_one.phase(true));
        assert_eq!(at_once.phase(true), (Phase::Head, 5));
        assert_eq!((at_once.resets(), one_by_one.resets()), (2, 2));
    }
}
