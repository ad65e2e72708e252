//! Firewall rules that lead the connections of a program through its sidecar.
//!
//! [`Rules`] are what is to be redirected, [`Rules::restore`] is their text for
//! `iptables-restore`, and [`apply()`] puts it into force in the network namespace of this process.

mod apply;
mod args;
mod ports;
mod rules;

pub use self::{
    apply::{apply, remove},
    args::{Args, run, undo},
    ports::{Ports, Subnet},
    rules::{Family, Rules},
};
