//! The JSON API's types for what the mesh is doing; the CLI reads the same.

mod event;
mod resource;
mod rows;

pub use event::{
    Endpoint, Header, HeaderValue, Id, Labels, RequestInit, ResponseEnd, ResponseInit, Since,
    TapEvent,
};
pub use resource::{Kind, Resource};
pub use rows::{EdgeRow, Latency, Rate, RouteRow, RouteTable, StatRow, StatTable};
