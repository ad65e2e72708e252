#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod backoff;
mod budget;
mod decision;
mod exhausted;
mod future;
mod head;
mod inspect;
mod layer;
mod memory;
mod peek;
mod replay;
mod retry_after;
mod service;

pub use self::{
    backoff::{MESH_ATTEMPT, MESH_NO_RETRY},
    budget::Budget,
    exhausted::Exhausted,
    future::ResponseFuture,
    inspect::{DefaultInspect, Inspect},
    layer::{OnRetryable, RetryLayer},
    peek::PeekBody,
    replay::ReplayBody,
    service::Retry,
};
pub use mesh_core::{
    Attempt, Backoff, BoxError, Fault, InvalidBudget, Retries, RetryBudget, RetrySkipped, Route,
};
