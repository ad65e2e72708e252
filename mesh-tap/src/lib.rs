#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod describe;
mod event;
mod events;
mod exchange_state;
mod filter;
#[cfg(feature = "har")]
pub mod har;
mod layer;
mod live;
mod redact;
mod tap;

pub use self::{
    body::TapBody,
    event::{
        Event, EventId, EventKind, Labels, Peer, RequestInit, ResponseEnd, ResponseInit, Wide,
        grpc_name,
    },
    events::Events,
    filter::{Condition, Filter, Select, Text},
    layer::{ResponseFuture, TapLayer, Tapped},
    tap::{Tap, TooManyTaps},
};
pub use mesh_core::{Conn, Direction, Fault, Route};
