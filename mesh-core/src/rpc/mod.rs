//! Protocols of calls, and the status that some of them put into the response body.

mod base64;
mod end;
mod json;
mod kind;
mod status_reader;

pub use self::{kind::RpcKind, status_reader::StatusReader};
