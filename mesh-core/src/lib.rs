#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attempt;
mod budget;
mod class;
mod conn;
mod fault;
#[doc(hidden)]
pub mod hot;
mod route;
mod rpc;
mod tls;

pub use self::{
    attempt::{Attempt, RetrySkipped},
    budget::{InvalidBudget, RetryBudget},
    class::{Class, Classify, DefaultClassify, End, Head},
    conn::{Conn, Direction},
    fault::{BoxError, Fault},
    route::{Backoff, Retries, Route, Timeouts},
    rpc::{RpcKind, StatusReader},
    tls::TlsStatus,
};
