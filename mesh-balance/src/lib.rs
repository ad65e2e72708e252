#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod balance;
mod body;
mod config;
mod eject;
mod endpoint;
mod error;
mod future;
mod load;
mod observer;
mod pick;
mod random;
mod watch;

pub use self::{
    balance::Balance,
    body::BalanceBody,
    config::{Config, Ejection},
    endpoint::EndpointStatus,
    error::NoEndpoint,
    future::ResponseFuture,
    observer::{Change, Observer},
    watch::BalanceHandle,
};
pub use mesh_core::{Attempt, BoxError, Fault, Route};
