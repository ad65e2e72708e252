//! The JSON API's types; the CLI reads the same.

mod control;
mod event;
mod resource;
mod rows;

pub use control::{
    Applied, Check, CheckCategory, CheckReport, CheckResult, Destination, Leaf, LeafEndpoint,
    Outcome, ProfileRef, ResourceList, Version,
};
pub use event::{
    Endpoint, Header, HeaderValue, Id, Labels, RequestInit, ResponseEnd, ResponseInit, Since,
    TapEvent,
};
pub use resource::{Kind, Resource};
pub use rows::{EdgeRow, Latency, Rate, RouteRow, RouteTable, StatRow, StatTable};
