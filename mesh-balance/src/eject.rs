//! Leaving an endpoint out that only fails, as a pure state machine.

use crate::{config::Ejection, load::Nanos};

/// Counts failures in a row and remembers whether the endpoint is left out.
///
/// Serving, until as many failures as it takes; then ejected, for a time; then one request, the
/// probe, decides whether it serves again or is ejected for twice as long.
#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Outcomes of one kind in a row: below zero are failures.
    streak: i32,
    /// Ejections without recovery between them.
    ejections: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Serving,
    Ejected { until: Nanos },
    Probing,
    Removed,
}

impl Breaker {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Serving,
            streak: 0,
            ejections: 0,
        }
    }

    /// Whether requests avoid it.
    pub(crate) fn is_ejected(&self) -> bool {
        matches!(self.state, State::Ejected { .. } | State::Probing)
    }

    /// When a probe is due, if it is waiting for one.
    pub(crate) fn due(&self) -> Option<Nanos> {
        match self.state {
            State::Ejected { until } => Some(until),
            _ => None,
        }
    }

    /// Makes the next request the probe, if one is due.
    pub(crate) fn probe(&mut self, now: Nanos) -> bool {
        let due = self.due().is_some_and(|until| until <= now);
        if due {
            self.state = State::Probing;
        }
        due
    }

    /// Notes a success; true if that ended an ejection.
    pub(crate) fn success(&mut self, ejection: &Ejection, probe: bool) -> bool {
        match self.state {
            State::Probing if probe => {
                self.state = State::Serving;
                self.streak = 1;
                true
            }
            State::Serving => {
                self.streak = self.streak.max(0).saturating_add(1);
                if self.streak.unsigned_abs() >= ejection.failures {
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
            State::Probing if probe => {}
            State::Serving => {
                self.streak = self.streak.min(0).saturating_sub(1);
                if self.streak.unsigned_abs() < ejection.failures.max(1) || !may_eject() {
                    return None;
                }
            }
            _ => return None,
        }
        let until = now + backoff(ejection, self.ejections, jitter);
        self.ejections = self.ejections.saturating_add(1);
        self.streak = 0;
        self.state = State::Ejected { until };
        Some(until)
    }

    /// The probe came to nothing: its caller left. Another is due after the shortest pause.
    pub(crate) fn abandon(&mut self, now: Nanos, ejection: &Ejection) -> Option<Nanos> {
        if self.state != State::Probing {
            return None;
        }
        let until = now + backoff(ejection, 0, 0.0);
        self.state = State::Ejected { until };
        Some(until)
    }

    /// Ends it; true if it was left out. Whatever is in flight changes nothing any more.
    pub(crate) fn remove(&mut self) -> bool {
        let ejected = self.is_ejected();
        self.state = State::Removed;
        ejected
    }
}

/// `jitter` in [0, 1) adds up to half, so that clients do not probe in step.
fn backoff(ejection: &Ejection, ejections: u32, jitter: f32) -> Nanos {
    let doubled = ejection.min.saturating_mul(1 << ejections.min(30));
    let pause = doubled.min(ejection.max.max(ejection.min));
    let nanos = Nanos::try_from(pause.as_nanos()).unwrap_or(Nanos::MAX / 4);
    nanos.min(Nanos::MAX / 4) + (nanos.min(Nanos::MAX / 4) as f64 * f64::from(jitter) / 2.0) as u64
}
