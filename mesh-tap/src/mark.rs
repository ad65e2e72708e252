use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

/// What the tap of a whole exchange learns from those of its attempts, below it.
///
/// It travels in the extensions of the request, and only while somebody watches.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mark(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    attempts: AtomicU32,
    shown: AtomicBool,
}

impl Mark {
    /// An attempt began.
    pub(crate) fn begin(&self, number: u32) {
        self.0.attempts.fetch_max(number, Relaxed);
    }

    /// An attempt came to an end that says what happened.
    pub(crate) fn show(&self) {
        self.0.shown.store(true, Relaxed);
    }

    /// The number of the last attempt; 0 without any.
    pub(crate) fn attempts(&self) -> u32 {
        self.0.attempts.load(Relaxed)
    }

    /// Whether an attempt said what happened.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.shown.load(Relaxed)
    }
}
