//! Atomics and sizes of the window, which `tests/loom.rs` replaces with loom's and smaller ones.

pub(super) use std::{hint, sync::atomic::AtomicU64};

/// Slots in which originals are counted. It divides every `ttl` of whole microseconds.
pub(super) const SLOTS: u64 = 25;
/// Words in a ring: the current slot, [`SLOTS`] before it and one more, and a power of two.
pub(super) const RING: u64 = 32;
