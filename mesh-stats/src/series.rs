use super::{
    Outcome, Status, View,
    count::{Count, Owner},
    histogram::Recorder,
    slots::Slots,
};
use mesh_core::Class;
use std::{sync::OnceLock, time::Duration};

/// Largest number of outcomes. A service has a handful; more are made-up status codes.
pub(super) const MAX_OUTCOMES: usize = 32;

/// A latency histogram is 200 bytes, and those of rare statuses tell little.
const MAX_LATENCIES: usize = 16;

/// The running form of a [`View`], owned by the thread that made it.
#[derive(Debug, Default)]
pub(super) struct Series {
    owner: Owner,
    requests: Count,
    responses: Slots<Outcome, Count, MAX_OUTCOMES>,
    other_successes: Count,
    other_failures: Count,
    latency: Slots<Status, Box<Recorder>, MAX_LATENCIES>,
    other_latency: OnceLock<Box<Recorder>>,
}

impl Series {
    pub(super) fn request(&self) {
        self.requests.add(1, self.owner.counting());
    }

    pub(super) fn response(&self, outcome: Outcome) {
        self.responses
            .get(outcome)
            .unwrap_or_else(|| self.other(outcome.class))
            .add(1, self.owner.counting());
    }

    pub(super) fn latency(&self, status: Status, latency: Duration) {
        let recorder = self.latency.get(status);
        let recorder = recorder.unwrap_or_else(|| self.other_latency.get_or_init(Box::default));
        recorder.record(latency, self.owner.counting());
    }

    fn other(&self, class: Class) -> &Count {
        match class {
            Class::Success => &self.other_successes,
            Class::Failure => &self.other_failures,
        }
    }

    pub(super) fn snapshot(&self) -> View {
        let mut view = View {
            requests: self.requests.load(),
            ..View::default()
        };
        for (outcome, count) in self.responses.iter() {
            view.responses.insert(outcome, count.load());
        }
        for class in [Class::Success, Class::Failure] {
            let count = self.other(class).load();
            if count > 0 {
                view.responses
                    .insert(Outcome::new(Status::Other, class), count);
            }
        }
        for (status, recorder) in self.latency.iter() {
            view.latency.insert(status, recorder.snapshot());
        }
        if let Some(other) = self.other_latency.get() {
            view.latency.insert(Status::Other, other.snapshot());
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
