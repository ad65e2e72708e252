use super::{Outcome, Status, View, histogram::Recorder, slots::Slots};
use mesh_core::Class;
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// A service has a handful of outcomes; more than this is somebody playing with status codes.
pub(super) const MAX_OUTCOMES: usize = 32;

/// A latency histogram is 200 bytes, and those of rare statuses tell little.
const MAX_LATENCIES: usize = 16;

/// The running form of a [`View`].
#[derive(Debug, Default)]
pub(super) struct Series {
    requests: AtomicU64,
    responses: Slots<Outcome, AtomicU64, MAX_OUTCOMES>,
    other_successes: AtomicU64,
    other_failures: AtomicU64,
    latency: Slots<Status, Box<Recorder>, MAX_LATENCIES>,
    other_latency: Recorder,
}

impl Series {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn response(&self, outcome: Outcome) {
        self.responses
            .get(outcome)
            .unwrap_or_else(|| self.other(outcome.class))
            .fetch_add(1, Relaxed);
    }

    pub(super) fn latency(&self, status: Status, latency: Duration) {
        match self.latency.get(status) {
            Some(recorder) => recorder.record(latency),
            None => self.other_latency.record(latency),
        }
    }

    fn other(&self, class: Class) -> &AtomicU64 {
        match class {
            Class::Success => &self.other_successes,
            Class::Failure => &self.other_failures,
        }
    }

    pub(super) fn snapshot(&self) -> View {
        let mut view = View {
            requests: self.requests.load(Relaxed),
            ..View::default()
        };
        for (outcome, count) in self.responses.iter() {
            view.responses.insert(outcome, count.load(Relaxed));
        }
        for class in [Class::Success, Class::Failure] {
            let count = self.other(class).load(Relaxed);
            if count > 0 {
                view.responses
                    .insert(Outcome::new(Status::Other, class), count);
            }
        }
        for (status, recorder) in self.latency.iter() {
            view.latency.insert(status, recorder.snapshot());
        }
        let other = self.other_latency.snapshot();
        if other.count() > 0 {
            view.latency.insert(Status::Other, other);
        }
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_past_the_limit_are_lumped_but_keep_their_class() {
        let series = Series::default();
        for code in 400..600 {
            let class = if code < 500 {
                Class::Success
            } else {
                Class::Failure
            };
            series.response(Outcome::new(Status::Code(code), class));
            series.latency(Status::Code(code), Duration::from_millis(7));
        }
        let view = series.snapshot();
        assert_eq!(view.responses.len(), MAX_OUTCOMES + 2);
        assert_eq!((view.successes(), view.failures()), (100, 100));
        assert_eq!(view.latency.len(), MAX_LATENCIES + 1);
        assert_eq!(view.latencies().count(), 200);
        assert_eq!(view.success_rate(), Some(0.5));
    }
}
