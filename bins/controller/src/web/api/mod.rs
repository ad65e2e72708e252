//! The JSON API's types; the CLI reads the same.

mod control;
mod resource;
mod rows;

pub use control::{
    Applied, Check, CheckCategory, CheckReport, CheckResult, Destination, Leaf, LeafEndpoint,
    Outcome, ProfileRef, Rejection, ResourceList, Version,
};
/// What `/api/v1/tap` streams, one event a line.
pub use mesh_tap::Event as TapEvent;
pub use resource::{Kind, Resource};
pub use rows::{EdgeRow, Latency, Rate, RouteRow, RouteTable, StatRow, StatTable};
