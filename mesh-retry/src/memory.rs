//! One ceiling for all the request bodies a process keeps.

use std::sync::atomic::{AtomicUsize, Ordering};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the process's allowance; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Reservation(usize);

impl Reservation {
    /// Takes `more` bytes, unless the whole process would then hold more than `ceiling`.
    pub(crate) fn grow(&mut self, more: usize, ceiling: usize) -> bool {
        let took = IN_USE.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= ceiling)
        });
        if took.is_ok() {
            self.0 += more;
        }
        took.is_ok()
    }

    pub(crate) fn clear(&mut self) {
        IN_USE.fetch_sub(std::mem::take(&mut self.0), Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.clear();
    }
}
