use crate::live::Live;
use mesh_core::RetrySkipped;
use std::sync::{
    Arc, Mutex, OnceLock, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

/// State that the tap of a whole exchange shares with the taps of its attempts below.
/// It travels in the extensions of the request, only while there is a subscription.
#[derive(Clone, Debug, Default)]
pub(crate) struct ExchangeState(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    attempts: AtomicU32,
    shown: AtomicBool,
    /// Set when the exchange has its response: why that was not retried, if it was not.
    answered: OnceLock<Option<RetrySkipped>>,
    /// The attempt that ended in an error last, of which it is not decided whether to try again.
    failed: Mutex<Option<Box<Live>>>,
}

impl ExchangeState {
    /// An attempt began, so those before it are over.
    pub(crate) fn begin(&self, number: u32) {
        self.decided();
        self.0.attempts.fetch_max(number, Relaxed);
    }

    /// An attempt failed: it tells its end when it is dropped, which waits for what the retries
    /// above make of it.
    pub(crate) fn fail(&self, attempt: Box<Live>) {
        let before = self.failed().replace(attempt);
        drop(before);
    }

    /// Records that the retry decision about the last failed attempt was made.
    pub(crate) fn decided(&self) {
        // Dropped without the lock.
        let attempt = self.failed().take();
        drop(attempt);
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, Option<Box<Live>>> {
        self.0.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt came to an end that says what happened.
    pub(crate) fn show(&self) {
        self.0.shown.store(true, Relaxed);
    }

    /// The exchange has its response, which `skipped` says why not to retry.
    pub(crate) fn answer(&self, skipped: Option<RetrySkipped>) {
        let _ = self.0.answered.set(skipped);
    }

    /// Returns true if the exchange has its response.
    pub(crate) fn is_answered(&self) -> bool {
        self.0.answered.get().is_some()
    }

    /// Returns the reason why the last attempt was not retried, if it was of a retryable kind.
    pub(crate) fn skipped(&self) -> Option<RetrySkipped> {
        self.0.answered.get().copied().flatten()
    }

    /// The number of the last attempt; 0 without any.
    pub(crate) fn attempts(&self) -> u32 {
        self.0.attempts.load(Relaxed)
    }

    /// Returns true if an attempt has shown its events.
    pub(crate) fn is_shown(&self) -> bool {
        self.0.shown.load(Relaxed)
    }
}
