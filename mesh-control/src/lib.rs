#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod faults;
pub mod grpc;
pub mod index;
pub mod model;
pub mod source;
pub mod stats;
pub mod status;
pub mod tap;
