//! Measures the load of a run, to compare it with the law of the budget.

use crate::run::{OFFERED, Outcome};
use std::time::Duration;

/// Windows begin at every multiple of this, and successes are counted in it.
const STEP: Duration = Duration::from_millis(100);

impl Outcome {
    /// The most that came to the leaf, in any window of this length, for each request offered
    /// in that window.
    pub(crate) fn worst(&self, window: Duration) -> f64 {
        let offered = self.counts(self.offered.iter().map(|(at, _)| *at));
        let leaf = self.counts(self.leaf.iter().copied());
        let steps = steps(window);
        let sums = |counts: &[u32]| -> Vec<u32> {
            counts
                .windows(steps)
                .map(|window| window.iter().sum())
                .collect()
        };
        let pairs = sums(&leaf).into_iter().zip(sums(&offered));
        pairs
            .map(|(leaf, offered)| f64::from(leaf) / f64::from(offered.max(1)))
            .fold(0.0, f64::max)
    }

    /// Returns the time from the beginning of the outage to full recovery, in outages; infinite
    /// without recovery.
    pub(crate) fn recovery(&self) -> f64 {
        let failed = self.offered.iter().filter(|(_, well)| !well);
        let failed = self.counts(failed.map(|(at, _)| *at));
        // One in a hundred is not yet trouble.
        let most = OFFERED * STEP.as_secs_f64() / 100.0;
        let Some(last) = failed.iter().rposition(|n| f64::from(*n) > most) else {
            return 0.0;
        };
        if last + 1 == failed.len() {
            return f64::INFINITY;
        }
        let well = STEP * (last as u32 + 1);
        let lasted = self.outage.end - self.outage.start;
        well.saturating_sub(self.outage.start).as_secs_f64() / lasted.as_secs_f64()
    }

    fn counts(&self, instants: impl Iterator<Item = Duration>) -> Vec<u32> {
        let mut counts = vec![0; steps(self.ends)];
        for at in instants {
            // The rest of the last step is too short to be compared.
            if let Some(count) = counts.get_mut(steps(at)) {
                *count += 1;
            }
        }
        counts
    }
}

fn steps(time: Duration) -> usize {
    (time.as_millis() / STEP.as_millis()) as usize
}
