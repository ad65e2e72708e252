use super::count::{Count, Counting};
use std::{ops::AddAssign, time::Duration};

/// The upper bounds of the latency buckets in milliseconds, Linkerd's; a last one has no bound.
pub const BOUNDS_MS: [u64; 25] = [
    1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500, 1000, 2000, 3000, 4000, 5000,
    10_000, 20_000, 30_000, 40_000, 50_000,
];

const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// The bounds in microseconds, as small as they fit: the compiler then compares several at once.
const BOUNDS: [i32; BOUNDS_MS.len()] = {
    let mut bounds = [0; BOUNDS_MS.len()];
    let mut i = 0;
    while i < bounds.len() {
        bounds[i] = (BOUNDS_MS[i] * 1000) as i32;
        i += 1;
    }
    bounds
};

/// The bucket of a latency: the first whose bound is not below it.
fn bucket(micros: u64) -> usize {
    let micros = i32::try_from(micros).unwrap_or(i32::MAX);
    // A binary search takes three times as long.
    BOUNDS
        .iter()
        .map(|bound| usize::from(*bound < micros))
        .sum()
}

/// The running form of a [`Histogram`].
#[derive(Debug, Default)]
pub(super) struct Recorder {
    buckets: [Count; BUCKETS],
    micros: Count,
}

impl Recorder {
    pub(super) fn record(&self, latency: Duration, by: Counting) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket(micros)].add(1, by);
        self.micros.add(micros, by);
    }

    pub(super) fn snapshot(&self) -> Histogram {
        Histogram {
            buckets: std::array::from_fn(|i| self.buckets[i].load()),
            micros: self.micros.load(),
        }
    }
}

/// Latencies, counted in buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Histogram {
    buckets: [u64; BUCKETS],
    micros: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: [0; BUCKETS],
            micros: 0,
        }
    }
}

impl Histogram {
    /// Returns the number of latencies.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All latencies added up, exact to the microsecond.
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.micros)
    }

    /// For each bucket its upper bound in milliseconds (`None` for the last) and how many
    /// latencies it or a bucket below it counted.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = BOUNDS_MS.into_iter().map(Some).chain([None]);
        bounds.zip(self.buckets).scan(0, |sum, (bound, count)| {
            *sum += count;
            Some((bound, *sum))
        })
    }

    /// An estimate of the latency that a share `q` (0 to 1) of all stayed within, in
    /// milliseconds, by the rule of PromQL's `histogram_quantile`: evenly spread within a
    /// bucket, and the highest bound for the last. `None` without any.
    pub fn quantile_ms(&self, q: f64) -> Option<f64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * count as f64;
        let (mut low, mut below) = (0, 0);
        for (bound, upto) in self.cumulative() {
            let Some(bound) = bound else { break };
            if upto as f64 >= rank && upto > below {
                let share = (rank - below as f64) / (upto - below) as f64;
                return Some(low as f64 + (bound - low) as f64 * share);
            }
            (low, below) = (bound, upto);
        }
        Some(low as f64)
    }
}

impl AddAssign<&Self> for Histogram {
    fn add_assign(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.micros = self.micros.saturating_add(other.micros);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(latencies_ms: &[f64]) -> Histogram {
        let recorder = Recorder::default();
        for ms in latencies_ms {
            recorder.record(Duration::from_secs_f64(ms / 1000.0), Counting::Owner);
        }
        recorder.snapshot()
    }

    #[test]
    fn a_latency_on_a_bound_belongs_to_the_bucket_below_it() {
        for (micros, expected) in [(0, 0), (1000, 0), (1001, 1), (5000, 4), (5001, 5)] {
            assert_eq!(bucket(micros), expected, "{micros}");
        }
        assert_eq!(bucket(50_000_000), 24);
        assert_eq!(bucket(50_000_001), 25);
        assert_eq!(bucket(u64::MAX), 25);
    }

    #[test]
    fn quantiles_are_interpolated_within_a_bucket() {
        assert_eq!(of(&[]).quantile_ms(0.5), None);
        assert_eq!(of(&[15.0; 10]).quantile_ms(0.5), Some(15.0));
        assert_eq!(of(&[0.5, 0.5, 80.0, 80.0]).quantile_ms(0.5), Some(1.0));
        assert_eq!(of(&[90_000.0]).quantile_ms(0.99), Some(50_000.0));
    }

    proptest! {
        #[test]
        fn merging_equals_recording_in_one(
            a in proptest::collection::vec(0.0..100_000.0f64, 0..50),
            b in proptest::collection::vec(0.0..100_000.0f64, 0..50),
        ) {
            let mut merged = of(&a);
            merged += &of(&b);
            prop_assert_eq!(&merged, &of(&[a, b].concat()));
            let last = merged.cumulative().last().unwrap();
            prop_assert_eq!(last, (None, merged.count()));
        }

        #[test]
        fn quantiles_never_fall_as_the_share_rises(
            all in proptest::collection::vec(0.0..100_000.0f64, 1..50),
            p in 0.0..1.0f64,
            q in 0.0..1.0f64,
        ) {
            let all = of(&all);
            let (low, high) = (p.min(q), p.max(q));
            prop_assert!(all.quantile_ms(low) <= all.quantile_ms(high));
        }
    }
}
