//! From a socket to where it leads: listening, limits, and redirected connections.

pub(crate) mod accept;
pub(crate) mod capture;
pub(crate) mod connection;
pub(crate) mod full;
pub(crate) mod open_files;
pub(crate) mod role;
pub(crate) mod router;
pub(crate) mod server_first;
