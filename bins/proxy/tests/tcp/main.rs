//! Connections that the sidecar carries as bytes.

#[path = "../support/mod.rs"]
mod support;

mod balanced;
mod server_first;
mod shown;
mod tls;
mod tunnels;
