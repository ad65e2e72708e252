use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What the connections of one worker, one direction and one side carried: the `tcp_*` families.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    opened: AtomicU64,
    closed: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// What a [`Meter`] says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Meter {
    pub(crate) fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    pub(crate) fn close(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    pub(crate) fn add_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn read(&self) -> Reading {
        // Closed first: a connection that ends between the two loads must not make the gauge
        // of open ones negative.
        let closed = self.closed.load(Relaxed);
        Reading {
            opened: self.opened.load(Relaxed),
            closed,
            read: self.read.load(Relaxed),
            written: self.written.load(Relaxed),
        }
    }
}

impl std::ops::AddAssign for Reading {
    fn add_assign(&mut self, other: Self) {
        self.opened += other.opened;
        self.closed += other.closed;
        self.read += other.read;
        self.written += other.written;
    }
}
