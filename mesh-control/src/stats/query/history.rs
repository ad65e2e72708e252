//! `history`: the responses of each workload, step by step.

use super::numbers::Responses;
use crate::stats::{Direction, Family, Outcome, Store};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

/// Responses of each workload in equal steps, the oldest first, by namespace and name.
pub type History = BTreeMap<(Arc<str>, Arc<str>), Vec<Responses>>;

/// The most steps of a history.
const MAX_STEPS: usize = 1_000;

/// Returns the responses of each workload in the last `length`, in steps of `step`, at most 1,000
/// of them. A workload without a response in that time is not in it.
pub fn history(store: &Store, now: Instant, length: Duration, step: Duration) -> History {
    let mut history = History::new();
    let steps = length.as_millis().div_ceil(step.as_millis().max(1));
    let steps = usize::try_from(steps).map_or(MAX_STEPS, |steps| steps.min(MAX_STEPS));
    let Some(last) = steps.checked_sub(1) else {
        return history;
    };
    let span = store.span(now, length);
    store.series(span, step, |number, increase| {
        let labels = increase.labels;
        if increase.family != Family::Responses || labels.direction != Direction::Inbound {
            return;
        }
        let Some(outcome) = labels.outcome else {
            return;
        };
        let source = increase.source;
        let key = (source.namespace.clone(), source.deployment.clone());
        let empty = Responses {
            over: step,
            ..Responses::default()
        };
        let points = history.entry(key).or_insert_with(|| vec![empty; steps]);
        let point = &mut points[number.min(last)];
        match outcome {
            Outcome::Success => point.successes += increase.count,
            Outcome::Failure => point.failures += increase.count,
        }
    });
    history
}
