use crate::leaf::Share;
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// The turns of splits that are built separately and shall be exact together.
///
/// A program that builds one [`Split`](crate::Split) per thread, so that no two threads touch
/// one service, gives them all the same tickets: the one thing they share is then a counter.
/// It is kept for as long as leaves and weights stay the same, so replacing services alone does
/// not start a sequence anew.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<Mutex<Option<Issue>>>);

#[derive(Debug)]
struct Issue {
    shares: Box<[Share]>,
    counter: Arc<Counter>,
}

impl Tickets {
    /// Tickets for one split, or for several that count as one.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter of splits with these shares; a fresh one if the last differed.
    ///
    /// A sequence is exact from its beginning only, so new weights must start at zero.
    pub(crate) fn counter(&self, shares: &[Share]) -> Arc<Counter> {
        let mut issue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*issue {
            Some(issue) if *issue.shares == *shares => issue.counter.clone(),
            _ => {
                let counter = Arc::<Counter>::default();
                *issue = Some(Issue {
                    shares: shares.into(),
                    counter: counter.clone(),
                });
                counter
            }
        }
    }
}

/// How far a sequence has been walked.
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

    /// How many turns went to another leaf than the one drawn, before this one.
    pub(crate) fn spill(&self) -> u64 {
        self.spills.fetch_add(1, Relaxed)
    }
}
