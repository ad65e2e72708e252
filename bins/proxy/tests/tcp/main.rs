//! Connections that the sidecar carries as bytes.

#[path = "../support/mod.rs"]
mod support;

mod server_first;
mod tls;
