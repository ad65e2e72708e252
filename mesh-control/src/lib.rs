#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod index;
pub mod model;
pub mod source;
