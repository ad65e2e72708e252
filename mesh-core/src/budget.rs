use std::{fmt, time::Duration};

/// The declared limits of a retry budget: plain data, checked once.
///
/// Over every window of `ttl`, retries are at most `ratio` times the original requests plus
/// `min_per_second` times `ttl`. The running balance is `mesh_retry::Budget`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryBudget {
    ratio: f64,
    min_per_second: u32,
    ttl: Duration,
}

impl RetryBudget {
    /// The shortest and the longest window, as in Linkerd.
    pub const TTL: std::ops::RangeInclusive<Duration> =
        Duration::from_secs(1)..=Duration::from_secs(60);

    /// The largest ratio, as in Linkerd.
    pub const MAX_RATIO: f64 = 1000.0;

    /// A budget of `ratio` (0 to 1000) retries per original request, and `min_per_second`
    /// (0 to 2^31 - 1) whatever the traffic, over a window of `ttl` (1 s to 60 s).
    ///
    /// # Errors
    ///
    /// [`InvalidBudget`] names the value that is out of range.
    pub fn new(ratio: f64, min_per_second: u32, ttl: Duration) -> Result<Self, InvalidBudget> {
        if !(0.0..=Self::MAX_RATIO).contains(&ratio) {
            return Err(InvalidBudget::Ratio(ratio));
        }
        if min_per_second > i32::MAX as u32 {
            return Err(InvalidBudget::Minimum(min_per_second));
        }
        if !Self::TTL.contains(&ttl) {
            return Err(InvalidBudget::Ttl(ttl));
        }
        Ok(Self {
            ratio,
            min_per_second,
            ttl,
        })
    }

    /// Retries per original request.
    pub fn ratio(&self) -> f64 {
        self.ratio
    }

    /// Retries per second that are always allowed.
    pub fn min_per_second(&self) -> u32 {
        self.min_per_second
    }

    /// The window over which the law holds.
    pub fn ttl(&self) -> Duration {
        self.ttl
    }
}

impl Default for RetryBudget {
    /// 20 % of the last ten seconds' requests, and ten a second.
    fn default() -> Self {
        Self {
            ratio: 0.2,
            min_per_second: 10,
            ttl: Duration::from_secs(10),
        }
    }
}

/// A retry budget with a value out of range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum InvalidBudget {
    /// The ratio is negative, above 1000 or not a number.
    Ratio(f64),
    /// The minimum per second exceeds 2^31 - 1.
    Minimum(u32),
    /// The window is shorter than 1 s or longer than 60 s.
    Ttl(Duration),
}

impl fmt::Display for InvalidBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ratio(ratio) => {
                write!(f, "retryRatio must be between 0 and 1000, but is {ratio}")
            }
            Self::Minimum(min) => {
                write!(
                    f,
                    "minRetriesPerSecond must be at most 2147483647, but is {min}"
                )
            }
            Self::Ttl(ttl) => write!(f, "ttl must be between 1s and 60s, but is {ttl:?}"),
        }
    }
}

impl std::error::Error for InvalidBudget {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_named() {
        let ten = Duration::from_secs(10);
        assert!(RetryBudget::new(0.2, 10, ten).is_ok());
        assert!(matches!(
            RetryBudget::new(-0.1, 10, ten),
            Err(InvalidBudget::Ratio(_))
        ));
        assert!(matches!(
            RetryBudget::new(f64::NAN, 10, ten),
            Err(InvalidBudget::Ratio(_))
        ));
        assert!(matches!(
            RetryBudget::new(0.2, u32::MAX, ten),
            Err(InvalidBudget::Minimum(_))
        ));
        let error = RetryBudget::new(0.2, 10, Duration::from_secs(61)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ttl must be between 1s and 60s, but is 61s"
        );
    }
}
