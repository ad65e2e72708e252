//! Hostile input: each case is refused, or becomes exactly one unambiguous request.

#[path = "../support/mod.rs"]
mod support;

mod bombs;
mod cancels;
mod chunks;
mod expect;
mod flood;
mod frames;
mod heads;
mod hosts;
mod http2;
mod leaving;
mod limits;
mod recorder;
mod responses;
mod slow;
mod smuggling;
mod targets;
mod trailers;
mod wire;
