#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod body;
mod conformance;
mod drive;
mod exchange;
mod law;
mod laws;
mod mock;
mod permit;

pub use self::{
    body::{Shape, StrictBody},
    conformance::Conformance,
    exchange::{MockFuture, ReceivedRequest},
    law::{Broken, Law},
    mock::{Mock, MockReply},
};
