use std::{
    error::Error,
    fmt,
    sync::{
        Arc,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{AcqRel, Relaxed},
        },
    },
};

/// Counts the open connections of a server, up to a limit. Threads share one.
#[derive(Debug)]
pub struct Connections {
    limit: usize,
    open: AtomicUsize,
    refused: AtomicU64,
}

/// An open connection; it counts until it is dropped.
#[derive(Debug)]
pub struct Permit(Arc<Connections>);

/// Decision on a new connection.
#[derive(Debug)]
pub enum Admitted {
    /// It is served.
    Served(Permit),
    /// It is told that there are too many.
    Told(Permit),
    /// It is closed: there are too many even of those.
    Closed,
}

/// Connections above the limit that are still answered with the reason.
const TOLD: usize = 64;

impl Connections {
    /// Allows `limit` connections at once.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Counts a new connection.
    pub fn admit(self: &Arc<Self>) -> Admitted {
        let before = self.open.fetch_add(1, AcqRel);
        let permit = Permit(self.clone());
        if before < self.limit {
            return Admitted::Served(permit);
        }
        self.refused.fetch_add(1, Relaxed);
        if before - self.limit < TOLD {
            Admitted::Told(permit)
        } else {
            Admitted::Closed
        }
    }

    /// Connections that were not served.
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    /// The error that says so.
    pub fn full(&self) -> Full {
        Full(self.limit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, AcqRel);
    }
}

/// As many connections are open as there may be.
#[derive(Debug)]
pub struct Full(usize);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections are open", self.0)
    }
}

impl Error for Full {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_are_served_some_are_told_and_the_rest_is_closed() {
        let connections = Connections::new(2);
        let first = connections.admit();
        assert!(matches!(first, Admitted::Served(_)));
        let _second = connections.admit();
        let told: Vec<_> = (0..TOLD).map(|_| connections.admit()).collect();
        assert!(told.iter().all(|one| matches!(one, Admitted::Told(_))));
        assert!(matches!(connections.admit(), Admitted::Closed));
        assert_eq!(connections.refused(), TOLD as u64 + 1);
        drop((told, first));
        assert!(matches!(connections.admit(), Admitted::Served(_)));
    }
}
