//! Leaving an endpoint out that only fails, as a pure state machine.

use crate::{config::Ejection, load::Nanos};
use std::time::Duration;

/// Counts failures in a row and remembers whether the endpoint is left out.
///
/// Ejects an endpoint after consecutive failures. After the ejection time one request, the
/// probe, decides whether it serves again or is ejected for twice as long. It has recovered, and
/// the next ejection is short again, after equally many successes, in a row or not.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: EjectionState,
    /// Failures since the last success.
    failures: u32,
    /// Successes since the last ejection.
    successes: u32,
    /// Ejections without recovery between them.
    ejections: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EjectionState {
    Serving,
    Ejected { until: Nanos },
    Probing,
    Removed,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: EjectionState::Serving,
            failures: 0,
            successes: 0,
            ejections: 0,
        }
    }

    /// Returns true if there is no failure on record, so that a success changes nothing.
    pub(crate) fn is_clear(&self) -> bool {
        self.state == EjectionState::Serving && self.failures == 0 && self.ejections == 0
    }

    /// Returns true if requests avoid the endpoint.
    pub(crate) fn is_ejected(&self) -> bool {
        matches!(
            self.state,
            EjectionState::Ejected { .. } | EjectionState::Probing
        )
    }

    /// The time of the next probe; `None` unless ejected.
    pub(crate) fn due(&self) -> Option<Nanos> {
        match self.state {
            EjectionState::Ejected { until } => Some(until),
            _ => None,
        }
    }

    /// Makes the next request the probe, if one is due.
    pub(crate) fn probe(&mut self, now: Nanos) -> bool {
        let due = self.due().is_some_and(|until| until <= now);
        if due {
            self.state = EjectionState::Probing;
        }
        due
    }

    /// Notes a success; true if that ended an ejection.
    pub(crate) fn success(&mut self, ejection: &Ejection, probe: bool) -> bool {
        match self.state {
            EjectionState::Probing if probe => {
                self.state = EjectionState::Serving;
                self.successes = 1;
                true
            }
            EjectionState::Serving => {
                self.failures = 0;
                self.successes = self.successes.saturating_add(1);
                if self.successes >= ejection.failures {
                    self.ejections = 0;
                }
                false
            }
            // A straggler from before the ejection.
            _ => false,
        }
    }

    /// Notes a failure. When enough have come in a row, asks `may_eject` and if so leaves the
    /// endpoint out; returns until when, if this failure did that or prolonged it.
    pub(crate) fn failure(
        &mut self,
        now: Nanos,
        ejection: &Ejection,
        jitter: f32,
        probe: bool,
        may_eject: impl FnOnce() -> bool,
    ) -> Option<Nanos> {
        match self.state {
            EjectionState::Probing if probe => {}
            EjectionState::Serving => {
                self.failures = self.failures.saturating_add(1);
                if self.failures < ejection.failures || !may_eject() {
                    return None;
                }
            }
            _ => return None,
        }
        let until = now + backoff(ejection, self.ejections, jitter);
        self.ejections = self.ejections.saturating_add(1);
        self.failures = 0;
        self.successes = 0;
        self.state = EjectionState::Ejected { until };
        Some(until)
    }

    /// The probe came to nothing: its caller left. Another is due after the shortest pause.
    pub(crate) fn abandon(&mut self, now: Nanos, ejection: &Ejection) -> Option<Nanos> {
        if self.state != EjectionState::Probing {
            return None;
        }
        let until = now + backoff(ejection, 0, 0.0);
        self.state = EjectionState::Ejected { until };
        Some(until)
    }

    /// Ends it; true if it was left out. Whatever is in flight changes nothing any more.
    pub(crate) fn remove(&mut self) -> bool {
        let ejected = self.is_ejected();
        self.state = EjectionState::Removed;
        ejected
    }
}

/// `jitter` in [0, 1) adds up to half, so that clients do not probe in step.
fn backoff(ejection: &Ejection, ejections: u32, jitter: f32) -> Nanos {
    let doubled = ejection.min.saturating_mul(1 << ejections.min(30));
    let pause = doubled.min(ejection.max.max(ejection.min));
    let nanos = pause.min(FOR_EVER).as_nanos() as Nanos;
    nanos + (nanos as f64 * f64::from(jitter) / 2.0) as Nanos
}

/// A century: longer than any process runs, and short enough to be added to.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Nanos = 1_000_000_000;

    fn fail(breaker: &mut Breaker, now: Nanos, probe: bool) -> Option<Nanos> {
        breaker.failure(now, &Ejection::default(), 0.0, probe, || true)
    }

    fn ejected() -> Breaker {
        let mut breaker = Breaker::new();
        for _ in 0..6 {
            assert_eq!(fail(&mut breaker, 0, false), None);
        }
        assert_eq!(fail(&mut breaker, 0, false), Some(SECOND));
        breaker
    }

    #[test]
    fn failures_in_a_row_eject_and_a_success_among_them_saves() {
        let mut breaker = Breaker::new();
        for _ in 0..100 {
            for _ in 0..6 {
                assert_eq!(fail(&mut breaker, 0, false), None);
            }
            breaker.success(&Ejection::default(), false);
        }
        assert!(breaker.is_clear());
        assert!(ejected().is_ejected());
    }

    #[test]
    fn one_probe_is_let_through_when_its_time_has_come() {
        let mut breaker = ejected();
        assert!(!breaker.probe(SECOND - 1));
        assert!(breaker.probe(SECOND));
        assert!(!breaker.probe(SECOND), "one at a time");
        assert!(breaker.is_ejected());
        assert!(breaker.success(&Ejection::default(), true));
        assert!(!breaker.is_ejected());
    }

    #[test]
    fn each_failed_probe_doubles_the_ejection_up_to_the_longest() {
        let mut breaker = ejected();
        let mut now = SECOND;
        for pause in [2, 4, 8, 16, 32, 60, 60] {
            assert!(breaker.probe(now));
            assert_eq!(fail(&mut breaker, now, true), Some(now + pause * SECOND));
            now += pause * SECOND;
        }
    }

    #[test]
    fn stragglers_from_before_the_ejection_change_nothing() {
        let mut breaker = ejected();
        assert!(!breaker.success(&Ejection::default(), false));
        assert_eq!(fail(&mut breaker, 0, false), None);
        assert_eq!(breaker.due(), Some(SECOND));
        assert!(breaker.probe(SECOND));
        assert!(!breaker.success(&Ejection::default(), false));
        assert!(breaker.is_ejected());
    }

    #[test]
    fn an_ejection_is_short_again_after_recovery_only() {
        let reinstated = || {
            let mut breaker = ejected();
            assert!(breaker.probe(SECOND) && breaker.success(&Ejection::default(), true));
            breaker
        };
        let eject = |mut breaker: Breaker| (0..7).find_map(|_| fail(&mut breaker, 0, false));
        assert_eq!(eject(reinstated()), Some(2 * SECOND));

        let mut recovered = reinstated();
        for _ in 0..6 {
            fail(&mut recovered, 0, false);
            recovered.success(&Ejection::default(), false);
        }
        assert_eq!(eject(recovered), Some(SECOND));
    }

    #[test]
    fn a_probe_whose_caller_left_is_followed_by_another() {
        let mut breaker = ejected();
        assert!(breaker.probe(SECOND));
        assert_eq!(
            breaker.abandon(SECOND, &Ejection::default()),
            Some(2 * SECOND)
        );
        assert!(breaker.probe(2 * SECOND));
    }

    #[test]
    fn the_last_endpoint_stays_and_is_asked_about_again() {
        let mut breaker = Breaker::new();
        for _ in 0..100 {
            let until = breaker.failure(0, &Ejection::default(), 0.0, false, || false);
            assert_eq!(until, None);
        }
        assert_eq!(fail(&mut breaker, 0, false), Some(SECOND));
    }

    proptest! {
        #[test]
        fn pauses_stay_in_bounds(min: Duration, max: Duration, times: u32, jitter in 0f32..1.0) {
            let ejection = Ejection { failures: 1, min, max };
            let pause = backoff(&ejection, times, jitter);
            let (min, max) = (min.min(FOR_EVER), max.max(min).min(FOR_EVER));
            prop_assert!(pause >= min.as_nanos() as Nanos);
            prop_assert!(pause as f64 <= max.as_nanos() as f64 * 1.5);
        }
    }
}
