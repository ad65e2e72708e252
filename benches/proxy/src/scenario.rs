//! The scenarios that every proxy is measured in.

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) load: Load,
}

/// Clients of a load: their protocol and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// HTTP/1.1 requests over so many connections, one after the other on each.
    Http1 { connections: u32, large: bool },
    /// So many HTTP/2 connections of so many streams.
    H2c { connections: u32, streams: u32 },
    /// The same with gRPC calls of one message.
    Grpc { connections: u32, streams: u32 },
    /// So many HTTP/1.1 requests a second, over 50 connections.
    Rate { per_second: u32 },
}

impl Load {
    /// Returns true for HTTP/2.
    pub(crate) fn is_http2(self) -> bool {
        matches!(self, Self::H2c { .. } | Self::Grpc { .. })
    }
}

/// Indexes in [`SCENARIOS`] of the scenarios with a target.
pub(crate) const HTTP1_64: usize = 1;
pub(crate) const HTTP1_256: usize = 2;
pub(crate) const H2C: usize = 3;
pub(crate) const GRPC: usize = 4;
pub(crate) const LARGE: usize = 5;
pub(crate) const FIXED_RATE: usize = 6;

/// All of them.
pub(crate) const SCENARIOS: [Scenario; 8] = [
    Scenario {
        name: "HTTP/1.1, 1 connection",
        load: Load::Http1 {
            connections: 1,
            large: false,
        },
    },
    Scenario {
        name: "HTTP/1.1, 64 connections",
        load: Load::Http1 {
            connections: 64,
            large: false,
        },
    },
    Scenario {
        name: "HTTP/1.1, 256 connections",
        load: Load::Http1 {
            connections: 256,
            large: false,
        },
    },
    Scenario {
        name: "h2c, 4 x 50 streams",
        load: Load::H2c {
            connections: 4,
            streams: 50,
        },
    },
    Scenario {
        name: "gRPC unary, 4 x 50 streams",
        load: Load::Grpc {
            connections: 4,
            streams: 50,
        },
    },
    Scenario {
        name: "HTTP/1.1, 1 MB bodies, 64 connections",
        load: Load::Http1 {
            connections: 64,
            large: true,
        },
    },
    Scenario {
        name: "HTTP/1.1, 1,000 requests/s",
        load: Load::Rate { per_second: 1_000 },
    },
    // It lives on one worker, however many there are.
    Scenario {
        name: "h2c, 1 x 50 streams",
        load: Load::H2c {
            connections: 1,
            streams: 50,
        },
    },
];
