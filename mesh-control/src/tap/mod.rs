//! Live requests of many sidecars as one stream.

mod callers;
mod follow;
mod peers;
mod query;
mod wire;

pub use follow::follow;
pub use peers::{TappedSidecar, embeds, sidecars};
pub use query::{InvalidMethod, Matching, TapQuery, Target};
pub use wire::event_from_wire;
