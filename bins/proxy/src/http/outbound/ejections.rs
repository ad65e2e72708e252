//! Logs the endpoints that are ejected, and those that serve again.

use mesh_balance::{Change, Observer};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// So many lines in [`PERIOD`] at most: a service of a thousand endpoints that fails as a whole has
/// one cause, and the metric `endpoint_ejected` names them all.
const MOST: u32 = 10;

const PERIOD: Duration = Duration::from_secs(10);

/// Logs the ejections of one worker.
#[derive(Clone, Debug)]
pub(crate) struct Ejections {
    worker: usize,
    rate: Arc<Mutex<Rate>>,
}

impl Ejections {
    pub(crate) fn new(worker: usize) -> Self {
        let rate = Arc::new(Mutex::new(Rate::new(Instant::now())));
        Self { worker, rate }
    }

    /// Observes the endpoints of `leaf`.
    pub(crate) fn of(&self, leaf: &Arc<str>) -> Observer {
        let (ejections, leaf) = (self.clone(), leaf.clone());
        Observer::new(move |change| ejections.say(&leaf, change))
    }

    /// Both are warnings: whoever reads of the one waits for the other.
    fn say(&self, leaf: &str, change: Change) {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(unsaid) = rate.admit(Instant::now()) else {
            return;
        };
        drop(rate);
        let worker = self.worker;
        match change {
            Change::Ejected { addr, pause } => {
                tracing::warn!(leaf, %addr, ?pause, worker, unsaid, "endpoint left out: it fails");
            }
            Change::Readmitted { addr } => {
                tracing::warn!(leaf, %addr, worker, unsaid, "endpoint serves again");
            }
            _ => {}
        }
    }
}

/// Counts the lines of a period, and those suppressed since the last line.
#[derive(Debug)]
struct Rate {
    since: Instant,
    said: u32,
    unsaid: u64,
}

impl Rate {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            said: 0,
            unsaid: 0,
        }
    }

    /// Returns the number of lines suppressed since the last one, if another line may be written.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= PERIOD {
            self.since = now;
            self.said = 0;
        }
        if self.said == MOST {
            self.unsaid += 1;
            return None;
        }
        self.said += 1;
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_are_only_so_many_lines_and_the_next_tells_of_the_rest() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        for _ in 0..MOST {
            assert_eq!(rate.admit(start), Some(0));
        }
        for _ in 0..3 {
            assert_eq!(rate.admit(start + PERIOD / 2), None);
        }
        assert_eq!(rate.admit(start + PERIOD), Some(3));
        assert_eq!(rate.admit(start + PERIOD), Some(0));
    }
}
