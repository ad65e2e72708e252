use mesh_core::Fault;
use mesh_serve::Full;
use std::{error::Error, fmt};

/// No more connections are served.
#[derive(Debug)]
pub(crate) struct TooManyConnections(pub(crate) Full);

impl fmt::Display for TooManyConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (--max-connections)", self.0)
    }
}

impl Error for TooManyConnections {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&Fault::Overloaded)
    }
}
