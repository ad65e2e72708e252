use std::time::Duration;

/// Bounds of a server. Each has a default that suits a server within a data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Connections open at once, for [`Server::run`](crate::Server::run); 10,000 by default.
    pub connections: usize,
    /// Time for the first bytes of a connection to tell its protocol; 10 s by default.
    pub detect: Duration,
    /// Time for a request head to arrive, from its first byte on; 30 s by default.
    pub head: Duration,
    /// Time that a connection may be without a request; 1 h by default.
    pub idle: Duration,
    /// Time that a client may read nothing of what is there for it; 5 min by default.
    pub stall: Duration,
    /// Time within which an HTTP/1 client may close its side of the connection behind a request and
    /// still gets the answer; 100 ms by default. One that does so later has left, and its request is
    /// dropped; zero cancels for each.
    pub half_close: Duration,
    /// Bytes of a request head; 64 KiB by default.
    pub head_bytes: usize,
    /// Headers of a request; 100 by default.
    pub headers: usize,
    /// Bytes of a request target; 32 KiB by default.
    pub uri_bytes: usize,
    /// Streams that an HTTP/2 connection may have open at once; 200 by default.
    pub streams: u32,
    /// HTTP/2 streams that a client may reset before they were looked at; 20 by default.
    pub resets: usize,
    /// HTTP/2 streams of a connection that may be reset for errors of its client; 1,024 by default.
    pub errors: usize,
    /// Bytes of a request body that are read ahead, per HTTP/2 stream; 128 KiB by default. All
    /// bodies of a connection together have as many for each of its [`streams`](Self::streams),
    /// and one more, so that those which nobody reads hold up no other.
    pub window_bytes: u32,
    /// Requests that an HTTP/2 client may cancel at once, and again in every 10 s; 1,000 by default.
    pub cancels: u32,
    /// Bytes of one message that are buffered for a slow reader; 400 KiB by default.
    pub buffer_bytes: usize,
    /// Names of these limits in refusals and log lines.
    pub names: &'static LimitNames,
}

/// Names of limits, as the person who can change them knows them: flags, for example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is the name of the limit of that name")]
pub struct LimitNames {
    pub detect: &'static str,
    pub head: &'static str,
    pub idle: &'static str,
    pub stall: &'static str,
    pub head_bytes: &'static str,
    pub headers: &'static str,
    pub uri_bytes: &'static str,
    pub cancels: &'static str,
}

impl LimitNames {
    /// The names of the fields of [`Limits`].
    pub const FIELDS: Self = Self {
        detect: "limits.detect",
        head: "limits.head",
        idle: "limits.idle",
        stall: "limits.stall",
        head_bytes: "limits.head_bytes",
        headers: "limits.headers",
        uri_bytes: "limits.uri_bytes",
        cancels: "limits.cancels",
    };
}

impl Limits {
    /// Bytes of all request bodies of an HTTP/2 connection that are read ahead; 25 MiB by default.
    pub(crate) fn connection_window_bytes(&self) -> u32 {
        const MOST: u32 = (1 << 31) - 1;
        let streams = self.streams.saturating_add(1);
        self.window_bytes.saturating_mul(streams).min(MOST)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            detect: Duration::from_secs(10),
            head: Duration::from_secs(30),
            idle: Duration::from_secs(3600),
            stall: Duration::from_secs(300),
            half_close: Duration::from_millis(100),
            head_bytes: 64 * 1024,
            headers: 100,
            uri_bytes: 32 * 1024,
            streams: 200,
            resets: 20,
            errors: 1024,
            window_bytes: 128 << 10,
            cancels: 1000,
            buffer_bytes: 400 * 1024,
            names: &LimitNames::FIELDS,
        }
    }
}
