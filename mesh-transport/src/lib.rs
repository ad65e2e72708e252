#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod flusher;
mod io;
mod meter;
mod outbox;
#[cfg(test)]
mod tests;

pub use self::{
    flusher::Flusher,
    io::Io,
    meter::{Meter, Reading},
};
