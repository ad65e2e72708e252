//! Requests through the sidecar: where they go, what becomes of them, and what is counted.

#[path = "../support/mod.rs"]
mod support;

#[path = "../hostile/recorder.rs"]
#[allow(dead_code, reason = "one of three programs that use it")]
mod recorder;
#[path = "../hostile/wire.rs"]
#[allow(dead_code, reason = "one of three programs that use it")]
mod wire;

mod admin;
mod blame;
mod breaking;
mod connections;
mod counts;
mod cut;
mod deadlines;
mod early;
mod follow;
mod goaway;
mod grpc;
mod http1;
mod inbound;
mod lost;
mod malformed;
mod outbound;
mod resent;
mod rpc;
mod stalled;
mod standalone;
mod streams;
