/// A path and where its segments end, found in one pass before the walk.
pub(super) struct Segments<'a> {
    path: &'a str,
    /// Of those that a template may tell apart.
    ends: [u16; MAX],
    /// The number of the last segment, or none of these if there are more.
    last: usize,
}

/// One more than the longest template has, so that a path that goes on is seen to.
const MAX: usize = super::template::MAX_SEGMENTS + 2;

impl<'a> Segments<'a> {
    /// `None` for a path that is longer than a URI may be: 64 KiB.
    pub(super) fn new(path: &'a str) -> Option<Self> {
        let len = u16::try_from(path.len()).ok()?;
        let mut segments = Self {
            path,
            ends: [0; MAX],
            last: 0,
        };
        // Eight bytes at a time: segments are too short for what a general search sets up.
        let (chunks, rest) = path.as_bytes().as_chunks::<8>();
        let mut start = 0;
        for chunk in chunks {
            let mut found = slashes(u64::from_le_bytes(*chunk));
            while found != 0 {
                segments.slash(start + found.trailing_zeros() as u16 / 8);
                found &= found - 1;
            }
            start += 8;
        }
        for byte in rest {
            if *byte == b'/' {
                segments.slash(start);
            }
            start += 1;
        }
        if let Some(end) = segments.ends.get_mut(segments.last) {
            *end = len;
        }
        Some(segments)
    }

    fn slash(&mut self, at: u16) {
        if let Some(end) = self.ends.get_mut(self.last) {
            *end = at;
            self.last += 1;
        }
    }

    pub(super) fn path(&self) -> &'a str {
        self.path
    }

    pub(super) fn is_last(&self, number: usize) -> bool {
        number == self.last
    }

    /// Where the segment of this number begins and ends; it must not be beyond the last.
    pub(super) fn bounds(&self, number: usize) -> (usize, usize) {
        let from = match number {
            0 => 0,
            _ => usize::from(self.ends[number - 1]) + 1,
        };
        (from, self.ends[number].into())
    }
}

/// The high bit of each byte that is a slash.
fn slashes(chunk: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    const SLASHES: u64 = u64::from_le_bytes([b'/'; 8]);

    // A byte is zero where the chunk has a slash; the sum has no carry from byte to byte.
    let zero_at_slash = chunk ^ SLASHES;
    !(((zero_at_slash & LOW) + LOW) | zero_at_slash | LOW)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_may_be_as_long_as_a_uri() {
        let path = "/".repeat(65_535);
        assert!(Segments::new(&path).is_some());
        assert!(Segments::new(&(path + "x")).is_none());
    }

    proptest! {
        #[test]
        fn segments_are_what_stands_between_slashes(path in "[/0.a-c\u{e9}\u{202f}]{0,200}") {
            let segments = Segments::new(&path).unwrap();
            for (number, expected) in path.split('/').enumerate().take(MAX) {
                let (from, to) = segments.bounds(number);
                prop_assert_eq!(&path[from..to], expected);
            }
            let last = path.split('/').count() - 1;
            prop_assert_eq!(segments.is_last(last), last < MAX);
            prop_assert_eq!((0..MAX).filter(|n| segments.is_last(*n)).count(), usize::from(last < MAX));
        }
    }
}
