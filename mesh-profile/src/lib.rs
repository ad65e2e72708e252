//! Being written.

pub mod stats;
