//! From a socket to what it is for: listening, accepting, and where redirected connections go.

pub(crate) mod accept;
pub(crate) mod capture;
pub(crate) mod connections;
pub(crate) mod router;
pub(crate) mod server_first;
