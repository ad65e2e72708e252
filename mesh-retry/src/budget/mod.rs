//! The retry budget: a running balance that bounds the load of retries.

mod limits;
mod model;
mod window;

use self::{
    limits::{Limits, LimitsCell},
    window::Window,
};
use mesh_core::RetryBudget;
use std::{
    cell::Cell,
    fmt,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

/// The running balance of a [`RetryBudget`]: whether one more retry may be sent now.
///
/// The law: over the `ttl` that ends at each grant, grants are at most `ratio` times the
/// original requests plus `min_per_second` times `ttl`. It is kept with whole numbers, so it is
/// exact for a ratio of 0.3 as for one of 0.5. Time passes in steps of a 25th of `ttl`, which
/// only ever refuses a retry: an original may be forgotten one step early, a grant one step
/// late.
///
/// Clones share one balance. It takes no lock, and threads count originals each in a shard of
/// their own. Time is an argument, and after any silence the first call costs what every other
/// does.
///
/// ```
/// use mesh_retry::{Budget, RetryBudget};
/// use std::time::{Duration, Instant};
///
/// // 30 % of the originals, and nothing beyond.
/// let budget = Budget::new(RetryBudget::new(0.3, 0, Duration::from_secs(10))?);
/// # #[allow(clippy::disallowed_methods)]
/// let now = Instant::now();
/// for _ in 0..10 {
///     budget.deposit(now);
/// }
/// let granted = (0..10).filter(|_| budget.withdraw(now)).count();
/// assert_eq!(granted, 3);
/// # Ok::<(), mesh_retry::InvalidBudget>(())
/// ```
#[derive(Clone)]
pub struct Budget(Arc<Inner>);

struct Inner {
    /// The first instant seen. Slots are counted from it.
    origin: OnceLock<Instant>,
    limits: LimitsCell,
    window: Window,
    /// The declared limits; locked while they change.
    declared: Mutex<RetryBudget>,
}

/// More shards than this only make a withdrawal slower, which adds them up.
const MAX_SHARDS: usize = 8;

impl Budget {
    /// A budget of `declared`, whose minimum is there from the start.
    pub fn new(declared: RetryBudget) -> Self {
        // Two for each core, as two of its threads may well have got the same one.
        let shards = match std::thread::available_parallelism().map_or(1, usize::from) {
            1 => 1,
            cores => (2 * cores).min(MAX_SHARDS),
        };
        Self::with_shards(declared, shards)
    }

    fn with_shards(declared: RetryBudget, shards: usize) -> Self {
        Self(Arc::new(Inner {
            origin: OnceLock::new(),
            limits: LimitsCell::new(&declared),
            window: Window::new(shards),
            declared: Mutex::new(declared),
        }))
    }

    /// Counts an original request. Call it once for each, before its first attempt.
    pub fn deposit(&self, now: Instant) {
        let key = self.0.limits.read().key(self.nanos(now));
        self.0.window.deposit(thread_number(), key);
    }

    /// Asks for one retry; `true` is the permission to send it, and counts it as sent.
    pub fn withdraw(&self, now: Instant) -> bool {
        let limits = self.0.limits.read();
        let key = limits.key(self.nanos(now));
        self.0
            .window
            .withdraw(key, limits.grant_slots(), |originals, grants| {
                limits.allow(originals, grants)
            })
    }

    /// Replaces the limits. What was counted so far stays counted.
    ///
    /// A new `ttl` begins a new window, into which only that part of the minimum is carried
    /// which has been used.
    pub fn update(&self, limits: RetryBudget) {
        let mut declared = self
            .0
            .declared
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *declared == limits {
            return;
        }
        let old = self.0.limits.read();
        let mut new = Limits::new(&limits);
        if declared.ttl() == limits.ttl() {
            (new.first_key, new.first_nanos) = (old.first_key, old.first_nanos);
        } else {
            let window = &self.0.window;
            let newest = window.newest().max(old.first_key);
            new.restart_after(&old, newest);
            // Before the new limits are seen, so that no grant falls between the two windows.
            let owed = |originals, grants| old.owed(originals, grants);
            window.carry(newest, new.first_key, old.grant_slots(), owed);
        }
        self.0.limits.write(&new);
        *declared = limits;
    }

    /// The limits in force.
    pub fn limits(&self) -> RetryBudget {
        *self
            .0
            .declared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn nanos(&self, now: Instant) -> u64 {
        let origin = *self.0.origin.get_or_init(|| now);
        // 64 bits of nanoseconds are 584 years.
        now.saturating_duration_since(origin).as_nanos() as u64
    }
}

impl Default for Budget {
    /// 20 % of the last ten seconds' requests, and ten a second.
    fn default() -> Self {
        Self::new(RetryBudget::default())
    }
}

impl From<RetryBudget> for Budget {
    fn from(declared: RetryBudget) -> Self {
        Self::new(declared)
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Budget").field(&self.limits()).finish()
    }
}

/// A small number for this thread, for choosing a shard.
fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    thread_local! {
        static NUMBER: Cell<usize> = const { Cell::new(0) };
    }
    NUMBER.with(|number| match number.get() {
        0 => {
            let new = NEXT.fetch_add(1, Ordering::Relaxed).max(1);
            number.set(new);
            new
        }
        known => known,
    })
}

#[cfg(test)]
mod tests;
