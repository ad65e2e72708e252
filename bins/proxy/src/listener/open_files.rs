//! The limit of open files.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Lets the process have as many open files as the system allows: the usual 1,024 are for programs
/// that wait in `select`, and here each connection takes one, and one more to its endpoint.
pub(crate) fn raise(connections: usize) {
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
