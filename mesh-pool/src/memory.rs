//! One ceiling for all the request bodies that a process keeps until they are looked at.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

/// Bytes of the process's allowance; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Memory(usize);

impl Memory {
    pub(crate) fn bytes(&self) -> usize {
        self.0
    }

    /// Takes `more` bytes, unless the whole process would then hold more than `ceiling`.
    pub(crate) fn grow(&mut self, more: usize, ceiling: usize) -> bool {
        let took = IN_USE.fetch_update(Relaxed, Relaxed, |used| {
            used.checked_add(more).filter(|sum| *sum <= ceiling)
        });
        if took.is_ok() {
            self.0 += more;
        }
        took.is_ok()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        IN_USE.fetch_sub(self.0, Relaxed);
    }
}
