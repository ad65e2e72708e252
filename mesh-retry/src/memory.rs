//! The limit of memory for all request bodies that a process keeps.

use std::sync::atomic::{AtomicUsize, Ordering};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Reserved bytes of the process's limit. Dropping returns them.
#[derive(Debug, Default)]
pub(crate) struct Reservation(usize);

impl Reservation {
    /// Reserves `more` bytes; returns false if the process would hold more than `ceiling`.
    pub(crate) fn grow(&mut self, more: usize, ceiling: usize) -> bool {
        let took = IN_USE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= ceiling)
        });
        if took.is_ok() {
            self.0 += more;
        }
        took.is_ok()
    }

    /// Returns all reserved bytes.
    pub(crate) fn clear(&mut self) {
        IN_USE.fetch_sub(std::mem::take(&mut self.0), Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.clear();
    }
}
