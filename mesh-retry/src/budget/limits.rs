//! The limits as whole numbers, readable without a lock while they change.

use super::model::{RING, SLOTS};
use mesh_core::RetryBudget;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// One grant, in the unit of [`Limits::ratio`]: nine decimals, so that every ratio a person
/// writes is exact.
const ONE: u64 = 1_000_000_000;

/// A snapshot of the limits, and of how instants become slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Billionths of a grant that an original allows.
    pub(super) ratio: u64,
    min_per_second: u64,
    ttl_nanos: u64,
    /// The slot in which this `ttl` came into force, and the instant at which it began.
    pub(super) first_key: u64,
    pub(super) first_nanos: u64,
}

impl Limits {
    pub(super) fn new(declared: &RetryBudget) -> Self {
        Self {
            ratio: billionths(declared.ratio()),
            min_per_second: declared.min_per_second().into(),
            // At most a minute: `RetryBudget` checks it.
            ttl_nanos: declared.ttl().as_nanos() as u64,
            // Words that were never written say slot 0, which must lie before every window.
            first_key: 2 * RING,
            first_nanos: 0,
        }
    }

    /// Moves the first slot beyond everything that `old` may still count in `newest`.
    pub(super) fn restart_after(&mut self, old: &Self, newest: u64) {
        // And one, so that the words of `newest` and of the first slot are not the same.
        self.first_key = newest + 2 * RING + 1;
        self.first_nanos = old.first_nanos + (newest - old.first_key) * old.slot_nanos();
    }

    fn slot_nanos(&self) -> u64 {
        self.ttl_nanos / SLOTS
    }

    /// The slot of an instant.
    pub(super) fn key(&self, nanos: u64) -> u64 {
        self.first_key + nanos.saturating_sub(self.first_nanos) / self.slot_nanos()
    }

    /// Returns the number of slots before the current one that may hold a grant younger than
    /// `ttl`.
    pub(super) fn grant_slots(&self) -> u64 {
        SLOTS + u64::from(!self.ttl_nanos.is_multiple_of(SLOTS))
    }

    /// The law: whether `originals` and the minimum allow `grants` in one `ttl`.
    pub(super) fn allow(&self, originals: u64, grants: u64) -> bool {
        // All in billionths, as a second has as many nanoseconds.
        let minimum = u128::from(self.min_per_second) * u128::from(self.ttl_nanos);
        u128::from(grants) * u128::from(ONE) <= self.earned(originals) + minimum
    }

    /// Returns the part of `grants` that came from the minimum, not from `originals`.
    pub(super) fn owed(&self, originals: u64, grants: u64) -> u64 {
        let earned = self.earned(originals) / u128::from(ONE);
        u128::from(grants).saturating_sub(earned) as u64
    }

    fn earned(&self, originals: u64) -> u128 {
        u128::from(originals) * u128::from(self.ratio)
    }

    fn to_words(self) -> [u64; 5] {
        [
            self.ratio,
            self.min_per_second,
            self.ttl_nanos,
            self.first_key,
            self.first_nanos,
        ]
    }
}

/// `ratio` in billionths: the decimal it was written as, or else rounded down.
fn billionths(ratio: f64) -> u64 {
    let exact = ratio * ONE as f64;
    let decimal = exact.round();
    // 0.3 has no binary form; what is this near to a decimal was meant as one. The error of a
    // double this small is far below what a window of 2^24 originals could turn into a grant.
    if (exact - decimal).abs() <= exact * f64::EPSILON {
        decimal as u64
    } else {
        exact.floor() as u64
    }
}

/// Limits that one thread replaces while others read them.
/// Two copies of the limits. Readers use the copy that `version` selects, and read again if it
/// was replaced meanwhile, so they never wait for a writer.
pub(super) struct LimitsCell {
    version: AtomicUsize,
    copies: [[AtomicU64; 5]; 2],
}

impl LimitsCell {
    pub(super) fn new(declared: &RetryBudget) -> Self {
        let words = Limits::new(declared).to_words();
        Self {
            version: AtomicUsize::new(0),
            copies: [words.map(AtomicU64::new), words.map(AtomicU64::new)],
        }
    }

    pub(super) fn read(&self) -> Limits {
        loop {
            let version = self.version.load(Ordering::Acquire);
            let words = &self.copies[version % 2];
            // Acquire: who sees a word of a later copy also sees the version before it.
            let [ratio, min_per_second, ttl_nanos, first_key, first_nanos] =
                std::array::from_fn(|i| words[i].load(Ordering::Acquire));
            if self.version.load(Ordering::Relaxed) == version {
                return Limits {
                    ratio,
                    min_per_second,
                    ttl_nanos,
                    first_key,
                    first_nanos,
                };
            }
        }
    }

    /// Only for one thread at a time.
    pub(super) fn write(&self, limits: &Limits) {
        let next = self.version.load(Ordering::Relaxed).wrapping_add(1);
        for (word, value) in self.copies[next % 2].iter().zip(limits.to_words()) {
            word.store(value, Ordering::Release);
        }
        self.version.store(next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_ratio_is_the_decimal_it_was_written_as() {
        for (ratio, expected) in [
            (0.0, 0),
            (0.001, 1_000_000),
            (0.1, 100_000_000),
            (0.3, 300_000_000),
            (0.6, 600_000_000),
            (1.0 / 3.0, 333_333_333),
            (2.0 / 3.0, 666_666_666),
            (1.1, 1_100_000_000),
            (9.999, 9_999_000_000),
            (1000.0, 1_000_000_000_000),
        ] {
            assert_eq!(billionths(ratio), expected, "{ratio}");
        }
    }

    #[test]
    fn a_window_whose_length_has_no_25th_remembers_grants_one_slot_longer() {
        let limits = |ttl| Limits::new(&RetryBudget::new(0.2, 10, ttl).unwrap());
        assert_eq!(limits(Duration::from_secs(10)).grant_slots(), SLOTS);
        assert_eq!(
            limits(Duration::from_nanos(1_000_000_001)).grant_slots(),
            SLOTS + 1
        );
    }

    #[test]
    fn a_new_ttl_begins_in_a_slot_of_its_own() {
        let of = |ttl| Limits::new(&RetryBudget::new(0.2, 10, Duration::from_secs(ttl)).unwrap());
        let (old, mut new) = (of(60), of(1));
        let hour = Duration::from_secs(3600).as_nanos() as u64;
        let newest = old.key(hour);
        new.restart_after(&old, newest);
        assert!(new.key(0) >= newest + RING);
        assert!(new.key(hour) < new.key(hour + 1_000_000_000));
        assert_eq!(new.key(hour + 1_000_000_000) - new.key(hour), SLOTS);
    }
}
