#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod admit;
mod body;
mod connections;
pub mod detect;
pub mod drain;
mod limits;
mod run;
mod server;

pub use self::{
    admit::Refusal,
    body::{BodyError, RequestBody},
    connections::{Admitted, Connections, Full, Permit},
    detect::Protocol,
    drain::{Drain, Draining},
    limits::{LimitNames, Limits},
    server::{Server, reclaim},
};
