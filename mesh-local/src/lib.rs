#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod atomic;
pub mod lifeline;
mod lock;
pub mod process;
pub mod socket;

pub use self::{lock::Lock, socket::SocketPath};
