#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod future;
mod leaf;
mod split;
mod sticky;
mod tickets;
mod watch;
mod weights;

pub use self::{
    future::ResponseFuture,
    leaf::{Leaf, NoLeaves},
    split::Split,
    sticky::{Sticky, cookie},
    tickets::Tickets,
    watch::SplitHandle,
    weights::{MAX_SEQUENCE, subject},
};
