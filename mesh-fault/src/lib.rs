#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod error;
mod faults;
mod future;
mod injected;
mod injection;
mod layer;
mod service;
mod share;

pub use self::{
    body::FaultBody,
    error::{InjectedReset, InvalidInjection, TooManyInjections},
    faults::{Active, Faults, InjectionId, MAX_INJECTIONS},
    future::ResponseFuture,
    injected::{Injected, Kind},
    injection::{Injection, MAX_DELAY},
    layer::FaultLayer,
    service::Faulty,
    share::Share,
};
pub use mesh_core::{BoxError, Fault, Route};
