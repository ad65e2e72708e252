//! Finds ends of path segments, and compares segments.
//!
//! Segments are a few bytes long: too short for what a general search or comparison sets up, so
//! both look at eight bytes at a time.

/// Returns the end of the segment that begins at `from`: the next slash or the end of `path`.
#[inline]
pub(super) fn end(path: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(chunk) = path.get(at..).and_then(<[u8]>::first_chunk) {
        let found = slashes(u64::from_le_bytes(*chunk));
        if found != 0 {
            return at + first(found);
        }
        at += 8;
    }
    // The remaining bytes, read from the last eight bytes if the path has as many.
    let seen = 8 - path.len().saturating_sub(at);
    if let Some(last) = path.last_chunk::<8>()
        && seen < 8
    {
        let found = slashes(u64::from_le_bytes(*last) >> (8 * seen));
        return if found == 0 {
            path.len()
        } else {
            at + first(found)
        };
    }
    let rest = path.get(at..).unwrap_or_default();
    let slash = rest.iter().position(|byte| *byte == b'/');
    at + slash.unwrap_or(rest.len())
}

/// The high bit of each byte that is a slash.
fn slashes(chunk: u64) -> u64 {
    const LOW: u64 = u64::from_le_bytes([0x7f; 8]);
    const SLASHES: u64 = u64::from_le_bytes([b'/'; 8]);

    // A byte is zero where the chunk has a slash; the sum has no carry from byte to byte.
    let zero_at_slash = chunk ^ SLASHES;
    !(((zero_at_slash & LOW) + LOW) | zero_at_slash | LOW)
}

/// The number of the first byte that [`slashes`] found.
fn first(found: u64) -> usize {
    found.trailing_zeros() as usize / 8
}

/// Returns the end of the segment at `from` if it equals `literal`.
#[inline]
pub(super) fn end_of(literal: &[u8], path: &[u8], from: usize) -> Option<usize> {
    let end = from + literal.len();
    let is_end = matches!(path.get(end), None | Some(b'/'));
    (is_end && same(path.get(from..end)?, literal)).then_some(end)
}

/// Returns true if two segments are equal.
#[inline]
pub(super) fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    match a.len() {
        0..4 => a.iter().eq(b),
        4..8 => ends::<4>(a) == ends::<4>(b),
        8..=16 => ends::<8>(a) == ends::<8>(b),
        _ => a == b,
    }
}

/// The first bytes and the last, which may be the same ones.
fn ends<const N: usize>(bytes: &[u8]) -> Option<(&[u8; N], &[u8; N])> {
    bytes.first_chunk().zip(bytes.last_chunk())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn segments_are_what_stands_between_slashes(path in "[/0.a-c\u{e9}\u{202f}]{0,200}") {
            let mut from = 0;
            for expected in path.split('/') {
                let to = end(path.as_bytes(), from);
                prop_assert_eq!(&path[from..to], expected);
                prop_assert_eq!(end_of(expected.as_bytes(), path.as_bytes(), from), Some(to));
                from = to + 1;
            }
            prop_assert_eq!(from, path.len() + 1);
        }

        #[test]
        fn a_segment_is_the_same_as_no_other(
            a in "[ab]{0,20}", b in "[ab]{0,20}", changed in any::<prop::sample::Index>()
        ) {
            prop_assert_eq!(same(a.as_bytes(), b.as_bytes()), a == b);
            let mut other = a.clone().into_bytes();
            prop_assert!(same(a.as_bytes(), &other));
            if !a.is_empty() {
                other[changed.index(a.len())] = b'c';
                prop_assert!(!same(a.as_bytes(), &other));
            }
        }

        #[test]
        fn a_literal_is_a_whole_segment_or_none(path in "[/ab]{0,24}", literal in "[ab]{0,9}") {
            let to = end(path.as_bytes(), 0);
            let expected = (path[..to] == literal).then_some(to);
            prop_assert_eq!(end_of(literal.as_bytes(), path.as_bytes(), 0), expected);
        }
    }
}
