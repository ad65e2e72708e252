use crate::{Connector, Hooks};
use mesh_transport::Flusher;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Settings that the pools of one runtime share.
#[derive(Debug)]
#[non_exhaustive]
pub struct Settings {
    /// Opens and counts connections.
    pub connector: Connector,
    /// Gathers what is written; without it each write is a system call.
    pub flusher: Option<Arc<Flusher>>,
    /// Time after which an unused connection is closed, before the peer would; 3 s by default.
    pub idle: Duration,
    /// Unused HTTP/1 connections that are kept; 1,024 by default.
    pub size: usize,
    /// Time after an idempotent request within which its reused connection must end, unread, for it
    /// to be sent again; 100 ms by default, 0 for never.
    pub resend: Duration,
    /// Time that the sender of an HTTP/1 request body may be silent; 5 min by default.
    pub body_gap: Duration,
    /// Headers of a response; 100 by default.
    pub headers: usize,
    /// Bytes of a response's head; 64 KiB by default.
    pub head_bytes: usize,
    /// Bytes of one message that are buffered; 400 KiB by default.
    pub buffer_bytes: usize,
    /// Bytes of request bodies that are kept until they are looked at, in the whole process;
    /// 64 MiB by default.
    pub kept_bytes: usize,
    /// Asks the layers above about a request.
    pub hooks: &'static Hooks,
    pub(crate) resent: AtomicU64,
}

impl Settings {
    /// Requests that were sent again on another connection because their endpoint had not read them.
    pub fn resent(&self) -> u64 {
        self.resent.load(Relaxed)
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connector: Connector::default(),
            flusher: None,
            idle: Duration::from_secs(3),
            size: 1024,
            resend: Duration::from_millis(100),
            body_gap: Duration::from_secs(300),
            headers: 100,
            head_bytes: 64 * 1024,
            buffer_bytes: 400 * 1024,
            kept_bytes: 64 * 1024 * 1024,
            hooks: &Hooks::NONE,
            resent: AtomicU64::new(0),
        }
    }
}
