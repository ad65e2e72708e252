use crate::leaf::Share;
use std::sync::{
    Arc, Mutex, PoisonError, Weak,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// A counter of turns that several splits share, so that their proportions are exact together.
///
/// A program with one [`Split`](crate::Split) per thread gives all of them the same counter. The
/// splits then share one number for each set of leaves and weights in use, and no service.
/// Replacing services alone keeps the number.
#[derive(Clone, Debug, Default)]
pub struct SharedCounter(Arc<Mutex<Vec<Sequence>>>);

/// The turns of one set of leaves and weights.
#[derive(Debug)]
struct Sequence {
    shares: Box<[Share]>,
    turns: Weak<Turns>,
}

impl SharedCounter {
    /// Makes a counter that starts at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the turns of the splits with these shares; the first split gets new ones.
    ///
    /// A sequence is exact from its beginning only, so new weights must start at zero. While
    /// splits apply a change one after the other, both the old and the new turns are in use.
    pub(crate) fn turns(&self, shares: &[Share]) -> Arc<Turns> {
        let mut sequences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sequences.retain(|sequence| sequence.turns.strong_count() > 0);
        let same = sequences
            .iter()
            .find(|sequence| *sequence.shares == *shares);
        if let Some(turns) = same.and_then(|sequence| sequence.turns.upgrade()) {
            return turns;
        }
        let turns = Arc::default();
        sequences.push(Sequence {
            shares: shares.into(),
            turns: Arc::downgrade(&turns),
        });
        turns
    }
}

/// Progress in a sequence of turns.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: AtomicU64,
    spills: AtomicU64,
}

impl Turns {
    /// Takes a turn and returns its leaf.
    pub(crate) fn turn(&self, sequence: &[u32]) -> usize {
        let turn = self.taken.fetch_add(1, Relaxed) % sequence.len() as u64;
        sequence[turn as usize] as usize
    }

    /// Returns how many earlier turns went to another leaf than the drawn one.
    pub(crate) fn spill(&self) -> u64 {
        self.spills.fetch_add(1, Relaxed)
    }
}
