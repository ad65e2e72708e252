//! Connections that are carried as bytes.

pub(crate) mod carry;
pub(crate) mod opaque;
pub(crate) mod tls;
