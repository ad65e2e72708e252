use std::{fmt, net::SocketAddr, sync::Arc};

/// Direction of a request: to the local application, or away from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Toward the local application.
    Inbound,
    /// Away from the local application.
    Outbound,
}

impl Direction {
    /// The value of the metric label `direction`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The connection a request came in on.
#[derive(Clone, Debug)]
pub struct Conn {
    /// The other end.
    pub peer: SocketAddr,
    /// This end, as accepted.
    pub local: SocketAddr,
    /// Original destination of a redirected connection.
    pub original_dst: Option<SocketAddr>,
    /// Toward the application or away from it.
    pub direction: Direction,
    /// Identity of the peer, if TLS proved it.
    pub identity: Option<Arc<str>>,
}
