use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one thread, its owner, adds to cheaply, and the others rightly.
/// A locked instruction costs 5 ns even without contention, and a request has several counters.
/// `Stats` usually belong to one worker, so its sums are kept apart: no other thread writes them,
/// and a plain load and store are enough.
#[derive(Debug, Default)]
pub(super) struct Count {
    own: AtomicU64,
    others: AtomicU64,
}

impl Count {
    /// `by` says who is counting; only one thread ever may be the owner.
    pub(super) fn add(&self, n: u64, by: Counting) {
        match by {
            Counting::Owner => {
                let sum = self.own.load(Relaxed).wrapping_add(n);
                self.own.store(sum, Relaxed);
            }
            Counting::Other => {
                self.others.fetch_add(n, Relaxed);
            }
        }
    }

    pub(super) fn load(&self) -> u64 {
        let own = self.own.load(Relaxed);
        own.wrapping_add(self.others.load(Relaxed))
    }
}

/// The thread that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counting {
    Owner,
    Other,
}

/// A thread that counts are kept apart for. No two threads of a program are the same one, not
/// even one after the other.
#[derive(Debug)]
pub(super) struct Owner(u64);

impl Owner {
    /// The thread that is running.
    pub(super) fn here() -> Self {
        Self(current())
    }

    pub(super) fn counting(&self) -> Counting {
        if self.0 == current() {
            Counting::Owner
        } else {
            Counting::Other
        }
    }
}

impl Default for Owner {
    fn default() -> Self {
        Self::here()
    }
}

fn current() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static CURRENT: u64 = NEXT.fetch_add(1, Relaxed);
    }
    CURRENT.with(|current| *current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_count_is_lost_whoever_counts() {
        let (count, owner) = (Count::default(), Owner::here());
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        assert_eq!(owner.counting(), Counting::Other);
                        count.add(1, owner.counting());
                    }
                });
            }
            for _ in 0..10_000 {
                assert_eq!(owner.counting(), Counting::Owner);
                count.add(2, owner.counting());
            }
        });
        assert_eq!(count.load(), 60_000);
    }
}
