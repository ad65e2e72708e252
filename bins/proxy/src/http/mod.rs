//! Requests: which are admitted, where they go, and what comes back.

pub(crate) mod cache;
pub(crate) mod deadline;
pub(crate) mod extensions;
pub(crate) mod headers;
pub(crate) mod inbound;
pub(crate) mod max_forwards;
pub(crate) mod outbound;
pub(crate) mod pooled;
pub(crate) mod respond;
