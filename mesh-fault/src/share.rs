use crate::InvalidInjection;
use std::fmt;

/// Exact share of requests: after `n` requests, `n * share` of them rounded down have been chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    parts: u32,
    whole: u32,
}

impl Share {
    /// Every request.
    pub const ALL: Self = Self { parts: 1, whole: 1 };

    /// `percent` of all requests: above 0, at most 100, rounded to 0.0001 %.
    pub fn percent(percent: f64) -> Result<Self, InvalidInjection> {
        const PARTS_PER_PERCENT: f64 = 10_000.0;
        const ALL: f64 = 100.0;
        // Written so that NaN is refused, too.
        if !(percent > 0.0 && percent <= ALL) {
            return Err(InvalidInjection::share());
        }
        let parts = (percent * PARTS_PER_PERCENT).round() as u32;
        Self::ratio(parts, (ALL * PARTS_PER_PERCENT) as u32)
    }

    /// `parts` of every `whole` requests: at least 1, at most `whole`.
    pub fn ratio(parts: u32, whole: u32) -> Result<Self, InvalidInjection> {
        if parts == 0 || parts > whole {
            return Err(InvalidInjection::share());
        }
        let divisor = gcd(parts, whole);
        Ok(Self {
            parts: parts / divisor,
            whole: whole / divisor,
        })
    }

    /// The share in percent.
    pub fn as_percent(self) -> f64 {
        f64::from(self.parts) * 100.0 / f64::from(self.whole)
    }

    /// The number of the first `n` requests that are chosen.
    pub(crate) fn among(self, n: u64) -> u64 {
        let (parts, whole) = (u64::from(self.parts), u64::from(self.whole));
        n / whole * parts + n % whole * parts / whole
    }

    /// Returns true if the request after the first `n` is chosen.
    pub(crate) fn chooses(self, n: u64) -> bool {
        self.among(n + 1) > self.among(n)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.as_percent())
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_is_above_nothing_and_at_most_everything() {
        for percent in [0.0, -1.0, 100.1, f64::NAN, f64::INFINITY, 0.000_01] {
            assert!(Share::percent(percent).is_err(), "{percent}");
        }
        assert!(Share::ratio(0, 3).is_err());
        assert!(Share::ratio(4, 3).is_err());
        assert_eq!(Share::percent(100.0).unwrap(), Share::ALL);
        assert_eq!(Share::percent(12.5).unwrap(), Share::ratio(1, 8).unwrap());
        assert_eq!(Share::percent(12.5).unwrap().to_string(), "12.5%");
    }

    proptest! {
        #[test]
        fn every_prefix_holds_the_share_rounded_down(
            whole in 1_u32..200,
            parts in 1_u32..200,
            n in 0_u64..1_000,
        ) {
            let parts = parts.min(whole);
            let share = Share::ratio(parts, whole).unwrap();
            let chosen = (0..n).filter(|&n| share.chooses(n)).count() as u64;
            prop_assert_eq!(chosen, n * u64::from(parts) / u64::from(whole));
            prop_assert_eq!(chosen, share.among(n));
        }
    }
}
