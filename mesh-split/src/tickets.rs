use crate::leaf::Share;
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The turns of splits that are built separately and shall be exact together.
///
/// A program that builds one [`Split`](crate::Split) per thread, so that no two threads touch
/// one service, gives them all the same tickets: the one thing they share is then a counter for
/// each set of leaves and weights in use. Replacing services alone does not start it anew.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<Mutex<Vec<Issue>>>);

#[derive(Debug)]
struct Issue {
    shares: Box<[Share]>,
    counter: Weak<Counter>,
}

impl Tickets {
    /// Tickets for one split, or for several that count as one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of the splits that have these shares now; a fresh one for the first.
    ///
    /// A sequence is exact from its beginning only, so new weights must start at zero. While
    /// splits hear of a change one after the other, the old counter and the new are both in use.
    pub(crate) fn counter(&self, shares: &[Share]) -> Arc<Counter> {
        let mut issues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        issues.retain(|issue| issue.counter.strong_count() > 0);
        let same = issues.iter().find(|issue| *issue.shares == *shares);
        if let Some(counter) = same.and_then(|issue| issue.counter.upgrade()) {
            return counter;
        }
        let counter = Arc::default();
        issues.push(Issue {
            shares: shares.into(),
            counter: Arc::downgrade(&counter),
        });
        counter
    }
}

/// Progress in a sequence of turns.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    turns: AtomicU64,
    spills: AtomicU64,
}

impl Counter {
    /// The leaf whose turn it is.
    pub(crate) fn turn(&self, sequence: &[u32]) -> usize {
        let turn = self.turns.fetch_add(1, Relaxed) % sequence.len() as u64;
        sequence[turn as usize] as usize
    }

    /// Returns how many earlier turns went to another leaf than the drawn one.
    pub(crate) fn spill(&self) -> u64 {
        self.spills.fetch_add(1, Relaxed)
    }
}
