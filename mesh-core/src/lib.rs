#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attempt;
mod budget;
mod class;
mod conn;
mod fault;
mod kept;
mod moment;
mod route;

pub use self::{
    attempt::{Attempt, RetrySkipped},
    budget::{InvalidBudget, RetryBudget},
    class::{Class, Classify, DefaultClassify, End, Head},
    conn::{Conn, Direction},
    fault::{BoxError, Fault},
    kept::KeptHead,
    moment::Moment,
    route::{Backoff, Retries, Route, Timeouts},
};
