//! The sources of the controller.

mod local;

pub use self::local::{Local, workloads};
