//! The flags of the proxy as settings of the libraries that carry connections.

use super::Limits;
use mesh_core::Direction;
use mesh_pool::{Connector, Hooks, Settings};
use mesh_serve::LimitNames;
use mesh_transport::{Flusher, Meter};
use std::sync::Arc;

/// An application is given so much longer than other endpoints: nobody else can be asked in its
/// place. Many accept their connections from a queue of 128, of which a burst while they have no
/// processor makes too many. The kernel then drops the first packet, and sends it again after a
/// second, which is just when the usual limit passes.
const APPLICATION: u32 = 3;

/// The flags, which refusals and log lines name.
static FLAGS: LimitNames = LimitNames {
    detect: "--detect-limit",
    head: "--head-limit",
    idle: "--idle-limit",
    stall: "--stall-limit",
    head_bytes: "--max-head-bytes",
    headers: "--max-headers",
    uri_bytes: "--max-uri-bytes",
    cancels: "--max-cancels",
};

impl Limits {
    /// Limits of the server side.
    pub(crate) fn server(&self) -> mesh_serve::Limits {
        let mut limits = mesh_serve::Limits::default();
        limits.connections = self.connections;
        limits.detect = self.detect;
        limits.head = self.head;
        limits.idle = self.idle;
        limits.stall = self.stall;
        limits.head_bytes = self.head_bytes;
        limits.headers = self.headers;
        limits.uri_bytes = self.uri_bytes;
        limits.half_close = self.half_close;
        limits.streams = self.streams;
        limits.resets = self.resets;
        limits.errors = self.errors;
        limits.window_bytes = self.window_bytes;
        limits.cancels = self.cancels;
        limits.buffer_bytes = self.buffer_bytes;
        limits.names = &FLAGS;
        limits
    }

    /// Settings of the client side of one worker, toward the application or away from it.
    pub(crate) fn pool(
        &self,
        direction: Direction,
        meter: Arc<Meter>,
        flusher: Arc<Flusher>,
        hooks: &'static Hooks,
    ) -> Settings {
        let timeout = match direction {
            Direction::Inbound => self.connect.saturating_mul(APPLICATION),
            Direction::Outbound => self.connect,
        };
        let mut settings = Settings::default();
        // The application may listen on either loopback address.
        let loopbacks = (direction == Direction::Inbound).then(Arc::default);
        settings.connector = Connector {
            timeout,
            meter,
            loopbacks,
        };
        settings.flusher = Some(flusher);
        settings.idle = self.pool_idle;
        settings.size = self.pool_size;
        settings.resend = self.resend;
        settings.body_gap = self.body_gap;
        settings.headers = self.headers;
        settings.head_bytes = self.head_bytes;
        settings.buffer_bytes = self.buffer_bytes;
        settings.kept_bytes = self.retry_memory_bytes;
        settings.hooks = hooks;
        settings
    }
}
