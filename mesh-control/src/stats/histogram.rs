//! Latency percentiles, computed as Prometheus' `histogram_quantile` computes them.

use super::BOUNDS;

/// The number of buckets of a histogram, the unbounded one included.
pub const BUCKETS: usize = BOUNDS.len() + 1;

/// Counts of responses by latency, between one bound and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Histogram([u64; BUCKETS]);

impl Default for Histogram {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl Histogram {
    /// Adds `count` responses to a bucket.
    pub fn add(&mut self, bucket: u8, count: u64) {
        if let Some(sum) = self.0.get_mut(usize::from(bucket)) {
            *sum += count;
        }
    }

    /// The latency in milliseconds that a share `q` of the responses did not exceed: linear
    /// within a bucket, the highest bound for the unbounded one, `None` without responses.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total: u64 = self.0.iter().sum();
        if total == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * total as f64;
        let mut below = 0;
        for (bucket, count) in self.0.iter().enumerate() {
            if (below + count) as f64 >= rank && *count > 0 {
                let Some(&upper) = BOUNDS.get(bucket) else {
                    break;
                };
                let lower = bucket.checked_sub(1).map_or(0, |previous| BOUNDS[previous]);
                let share = (rank - below as f64) / *count as f64;
                return Some(f64::from(lower) + f64::from(upper - lower) * share);
            }
            below += count;
        }
        BOUNDS.last().copied().map(f64::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(counts: &[(u8, u64)]) -> Histogram {
        let mut histogram = Histogram::default();
        for &(bucket, count) in counts {
            histogram.add(bucket, count);
        }
        histogram
    }

    #[test]
    fn nothing_has_no_percentile() {
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn percentiles_are_linear_within_a_bucket() {
        // All of it between 20 and 30 ms.
        let one = histogram(&[(7, 100)]);
        assert_eq!(one.quantile(0.5), Some(25.0));
        assert_eq!(one.quantile(0.99), Some(29.9));
        // Below the first bound it is linear from zero.
        assert_eq!(histogram(&[(0, 4)]).quantile(0.5), Some(0.5));
        // Half of it up to 1 ms, half between 5 and 10: the median is the bound itself.
        let two = histogram(&[(0, 50), (5, 50)]);
        assert_eq!(two.quantile(0.5), Some(1.0));
        assert_eq!(two.quantile(0.95), Some(9.5));
    }

    #[test]
    fn beyond_the_highest_bound_it_is_the_highest_bound() {
        assert_eq!(histogram(&[(25, 1)]).quantile(0.5), Some(50_000.0));
        assert_eq!(histogram(&[(0, 1), (25, 1)]).quantile(0.99), Some(50_000.0));
    }
}
