#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod deadline;
mod error;
mod head;
mod propagate;

pub use self::{
    body::{BodyResponseFuture, BodyTimeout, BodyTimeoutLayer, ProgressBody, TimedBody},
    deadline::{Deadline, GRPC_TIMEOUT, MESH_DEADLINE, format_timeout, parse_timeout},
    error::{Elapsed, Phase},
    head::{ResponseFuture, Timeout, TimeoutLayer},
    propagate::{
        AcceptDeadline, AcceptDeadlineLayer, AcceptFuture, PropagateDeadline,
        PropagateDeadlineLayer,
    },
};
pub use mesh_core::{BoxError, Fault, Route, Timeouts};
