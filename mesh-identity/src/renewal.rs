use std::time::{Duration, SystemTime};

/// Time between two attempts at least, 10 s.
pub const MIN_REFRESH: Duration = Duration::from_secs(10);

/// Time between two attempts at most, 24 h.
pub const MAX_REFRESH: Duration = Duration::from_secs(24 * 3600);

/// Decides when a workload renews its certificate, as a state machine with the time passed in.
///
/// A certificate is renewed after 70 % of its remaining life, as Linkerd's proxy does, and after a
/// failure by the same rule with the old end: more and more often, every 10 s at last, for ever.
///
/// ```
/// use mesh_identity::Renewal;
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_576_000);
/// let mut renewal = Renewal::new(now);
/// assert!(renewal.is_due(now) && !renewal.is_usable(now));
///
/// renewal.certified(now + Duration::from_secs(1000), now);
/// assert_eq!(renewal.wait(now), Duration::from_secs(700));
/// ```
#[derive(Clone, Debug)]
pub struct Renewal {
    valid_until: Option<SystemTime>,
    decided: SystemTime,
    pause: Duration,
}

impl Renewal {
    /// No certificate yet: one is due at once.
    pub fn new(now: SystemTime) -> Self {
        Self {
            valid_until: None,
            decided: now,
            pause: Duration::ZERO,
        }
    }

    /// A certificate arrived at `now`.
    pub fn certified(&mut self, valid_until: SystemTime, now: SystemTime) {
        self.valid_until = Some(valid_until);
        self.decide(now);
    }

    /// An attempt failed at `now`. The certificate that there is stays in use to its end.
    pub fn failed(&mut self, now: SystemTime) {
        self.decide(now);
    }

    fn decide(&mut self, now: SystemTime) {
        let left = self
            .valid_until
            .and_then(|until| until.duration_since(now).ok());
        let pause = left.unwrap_or_default().mul_f64(0.7);
        self.pause = pause.clamp(MIN_REFRESH, MAX_REFRESH);
        self.decided = now;
    }

    /// Returns the time until the next attempt, at most 24 h. Ask again when it has passed: a clock may
    /// have jumped.
    pub fn wait(&self, now: SystemTime) -> Duration {
        match now.duration_since(self.decided) {
            Ok(passed) => self.pause.saturating_sub(passed),
            // The clock went back; how long it has been is not known.
            Err(_) => Duration::ZERO,
        }
    }

    /// Returns true if a certificate is to be asked for.
    pub fn is_due(&self, now: SystemTime) -> bool {
        self.wait(now).is_zero()
    }

    /// Returns true if there is a certificate that has not ended.
    pub fn is_usable(&self, now: SystemTime) -> bool {
        self.valid_until.is_some_and(|until| now < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_certificate_is_renewed_early_and_kept_to_its_end() {
        let mut renewal = Renewal::new(at(0));
        assert!(renewal.is_due(at(0)));
        renewal.failed(at(0));
        assert_eq!(renewal.wait(at(0)), MIN_REFRESH);
        assert!(renewal.is_due(at(10)));

        renewal.certified(at(1000), at(0));
        assert!(!renewal.is_due(at(699)) && renewal.is_due(at(700)));
        // 300 s are left, then 90, then less than it takes.
        renewal.failed(at(700));
        assert_eq!(renewal.wait(at(700)), Duration::from_secs(210));
        renewal.failed(at(910));
        assert_eq!(renewal.wait(at(910)), Duration::from_secs(63));
        assert!(renewal.is_usable(at(999)) && !renewal.is_usable(at(1000)));
        renewal.failed(at(2000));
        assert_eq!(renewal.wait(at(2000)), MIN_REFRESH);
    }

    #[test]
    fn a_clock_that_goes_back_makes_it_due() {
        let mut renewal = Renewal::new(at(1000));
        renewal.certified(at(2000), at(1000));
        assert!(renewal.is_due(at(999)));
        assert!(renewal.is_usable(at(999)));
    }

    proptest! {
        #[test]
        fn attempts_are_neither_too_frequent_nor_too_rare(
            life in 0_u64..10_000_000,
            failures in proptest::collection::vec(0_u64..100_000, 0..50),
        ) {
            let mut now = 1_000_000;
            let mut renewal = Renewal::new(at(now));
            renewal.certified(at(now + life), at(now));
            for pause in failures {
                let wait = renewal.wait(at(now));
                prop_assert!((MIN_REFRESH..=MAX_REFRESH).contains(&wait));
                // With a day or more left, it is tried before the end.
                if life > 20 && renewal.is_usable(at(now)) && wait > MIN_REFRESH {
                    prop_assert!(renewal.is_usable(at(now) + wait));
                }
                now += pause;
                renewal.failed(at(now));
            }
        }
    }
}
