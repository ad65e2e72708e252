//! Connections that are carried as bytes.

pub(crate) mod carried;
pub(crate) mod carry;
pub(crate) mod dial;
pub(crate) mod opaque;
mod tunnel;
