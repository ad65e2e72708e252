//! Increases from one reading to the next, in two or three bytes for each series.
//!
//! A sidecar has thousands of series of which a second touches a few dozen. So a sample holds
//! only these, as pairs of series number and increase, sorted, each number written as the
//! distance to the one before: a quarter of an hour of booksapp is a few hundred kilobytes.

use std::time::Instant;

/// The increases of one reading.
#[derive(Debug)]
pub(crate) struct Sample {
    /// The reading before it, since when the increases are.
    pub(crate) from: Instant,
    /// When it was read.
    pub(crate) at: Instant,
    packed: Box<[u8]>,
}

impl Sample {
    /// Packs `increases`, sorted by series and each series once.
    pub(crate) fn new(from: Instant, at: Instant, increases: &[(u32, u64)]) -> Self {
        let mut packed = Vec::with_capacity(increases.len() * 3);
        let mut last = 0;
        for &(series, increase) in increases {
            write(&mut packed, u64::from(series - last));
            write(&mut packed, increase);
            last = series;
        }
        Self {
            from,
            at,
            packed: packed.into_boxed_slice(),
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.packed.len()
    }

    /// Returns true if most of its time is after `start`; increases within it cannot be told apart.
    pub(crate) fn is_after(&self, start: Instant) -> bool {
        let half = self.at.saturating_duration_since(self.from) / 2;
        self.from + half >= start
    }

    /// The increases, by number of the series.
    pub(crate) fn increases(&self) -> impl Iterator<Item = (u32, u64)> {
        let mut rest = &self.packed[..];
        let mut series = 0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            series += u32::try_from(read(&mut rest)).expect("written from a u32");
            Some((series, read(&mut rest)))
        })
    }
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn write(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn read(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    while let Some((&byte, rest)) = bytes.split_first() {
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::{collections::BTreeMap, time::Duration};

    fn now() -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[test]
    fn a_small_increase_takes_two_bytes() {
        let sample = Sample::new(now(), now(), &[(3, 1), (4, 1), (90, 100)]);
        assert_eq!(sample.packed.len(), 6);
    }

    #[test]
    fn a_sample_counts_where_most_of_it_lies() {
        let from = now();
        let sample = Sample::new(from, from + Duration::from_secs(10), &[]);
        assert!(sample.is_after(from + Duration::from_secs(5)));
        assert!(!sample.is_after(from + Duration::from_secs(6)));
    }

    proptest! {
        #[test]
        fn what_is_packed_is_read_back(increases: BTreeMap<u32, u64>) {
            let increases: Vec<_> = increases.into_iter().collect();
            let sample = Sample::new(now(), now(), &increases);
            prop_assert_eq!(sample.increases().collect::<Vec<_>>(), increases);
        }
    }
}
