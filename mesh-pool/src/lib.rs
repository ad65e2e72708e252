#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod connect;
mod ending;
mod error;
mod exchange;
mod framing;
mod hooks;
mod http1;
mod http2;
mod idle_limit;
mod kept;
mod memory;
mod pool;
mod settings;
mod spare;
mod stream;
mod upload;
mod wakeup;

pub use self::{
    body::Body,
    connect::{Connector, Loopbacks, Protocol, Stream, Target, connect},
    error::{CallerFault, SendError},
    hooks::{Hooks, Relay},
    pool::{Pool, Sending},
    settings::Settings,
    spare::Returned,
    stream::TrailersTooLarge,
};
pub use mesh_core::{BoxError, Fault};
