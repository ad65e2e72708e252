//! Types for the hot path that our own middleware crates share.
//!
//! **Unstable.** Nothing here follows semantic versioning: names and behaviour may change in any
//! release, and a type leaves when it is no longer worth 3 % of a request.

mod call_clock;
mod kept_head;

pub use self::{call_clock::CallClock, kept_head::KeptHead};
