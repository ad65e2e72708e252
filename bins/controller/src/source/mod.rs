//! The sources of the controller.

mod atomic;
mod local;

pub use self::{
    atomic::write as write_atomically,
    local::{Local, workloads},
};
