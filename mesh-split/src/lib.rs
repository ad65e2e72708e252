#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod counter;
mod future;
mod leaf;
mod split;
mod sticky;
mod watch;
mod weights;

pub use self::{
    counter::SharedCounter,
    future::ResponseFuture,
    leaf::{Leaf, NoLeaves},
    split::Split,
    sticky::{Sticky, cookie},
    watch::SplitHandle,
    weights::{MAX_SEQUENCE, subject},
};
