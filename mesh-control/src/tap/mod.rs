//! Live requests of many sidecars as one stream.

mod ask;
mod callers;
mod follow;
mod known;
mod wire;

pub use ask::{Ask, InvalidMethod, Matching, Target};
pub use follow::follow;
pub use known::{Sidecar, embeds, sidecars};
