use mesh_core::Fault;
use rustix::process::{Resource, getrlimit, setrlimit};
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

/// How many connections of clients are open, in all workers.
#[derive(Debug)]
pub(crate) struct Connections {
    limit: usize,
    open: AtomicUsize,
    refused: AtomicU64,
}

/// One of them; it counts until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Connections>);

/// What becomes of a new connection.
#[derive(Debug)]
pub(crate) enum Admitted {
    /// It is served.
    Served(Permit),
    /// It is told that there are too many.
    Told(Permit),
    /// It is closed: there are too many even of those.
    Closed,
}

/// Of so many connections above the limit each is still told why it is not served.
const TOLD: usize = 64;

impl Connections {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        })
    }

    pub(crate) fn admit(self: &Arc<Self>) -> Admitted {
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

    /// How many were not served.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    pub(crate) fn full(&self) -> Full {
        Full(self.limit)
    }
}

/// Lets the process have as many open files as the system allows: the usual 1,024 are for programs
/// that wait in `select`, and here each connection takes one, and one more to its endpoint.
pub(crate) fn raise_files(connections: usize) {
    let mut files = getrlimit(Resource::Nofile);
    if files.current != files.maximum {
        files.current = files.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, files) {
            tracing::warn!(%error, "cannot raise the limit of open files");
            return;
        }
    }
    if let Some(most) = files.current
        && most < 2 * connections as u64
    {
        tracing::warn!(
            most,
            connections,
            "the system allows fewer open files than so many connections take"
        );
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, AcqRel);
    }
}

/// There are as many connections as there may be.
#[derive(Debug)]
pub(crate) struct Full(usize);

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} connections are open (--max-connections)", self.0)
    }
}

impl Error for Full {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Overloaded)
    }
}

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
