use crate::{
    config::Limits,
    transport::{Meter, Turn},
};
use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

/// What the pools of one worker have in common.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Connecting may take this long.
    pub(crate) connect: Duration,
    /// An unused connection is closed after this, before the peer would.
    pub(crate) idle: Duration,
    /// Unused connections kept for one endpoint.
    pub(crate) size: usize,
    /// A connection that breaks so soon after a request was being closed.
    pub(crate) resend: Duration,
    /// An HTTP/1 client may be silent for so long in the middle of a body.
    pub(crate) body_gap: Duration,
    /// Headers of a response.
    pub(crate) headers: usize,
    /// Bytes of a response's head.
    pub(crate) head_bytes: usize,
    /// Bytes of one message that are buffered.
    pub(crate) buffer_bytes: usize,
    /// Bytes of all bodies that are kept, in the whole process.
    pub(crate) kept_bytes: usize,
    /// Counts bytes and connections.
    pub(crate) meter: Arc<Meter>,
    /// When requests are written.
    pub(crate) turn: Arc<Turn>,
    /// Counts requests sent again because they never left.
    pub(crate) resent: AtomicU64,
}

/// An application is given so much longer than other endpoints: nobody else can be asked in its
/// place. Many accept their connections from a queue of 128, of which a burst while they have no
/// processor makes too many. The kernel then drops the first packet, and sends it again after a
/// second, which is just when the usual limit passes.
const APPLICATION: u32 = 3;

impl Settings {
    /// For connections to the local application.
    pub(crate) fn inbound(limits: &Limits, meter: Arc<Meter>, turn: Arc<Turn>) -> Self {
        Self {
            connect: limits.connect.saturating_mul(APPLICATION),
            ..Self::new(limits, meter, turn)
        }
    }

    pub(crate) fn new(limits: &Limits, meter: Arc<Meter>, turn: Arc<Turn>) -> Self {
        Self {
            connect: limits.connect,
            idle: limits.pool_idle,
            size: limits.pool_size,
            resend: limits.resend,
            body_gap: limits.body_gap,
            headers: limits.headers,
            head_bytes: limits.head_bytes,
            buffer_bytes: limits.buffer_bytes,
            kept_bytes: limits.retry_memory_bytes,
            meter,
            turn,
            resent: AtomicU64::new(0),
        }
    }
}
