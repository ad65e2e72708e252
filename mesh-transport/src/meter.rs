use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts connections and the bytes that they carry.
#[derive(Debug, Default)]
pub struct Meter {
    opened: AtomicU64,
    closed: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// The counts of a [`Meter`] at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Connections that were opened.
    pub opened: u64,
    /// Connections that were closed since.
    pub closed: u64,
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
}

impl Meter {
    /// Counts a connection that is opened.
    #[inline]
    pub fn open(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    /// Counts a connection that is closed.
    #[inline]
    pub fn close(&self) {
        self.closed.fetch_add(1, Relaxed);
    }

    /// Counts bytes that were read.
    #[inline]
    pub fn add_read(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes that were written.
    #[inline]
    pub fn add_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    /// The counts so far.
    #[inline]
    pub fn read(&self) -> Reading {
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
