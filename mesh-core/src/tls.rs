use std::net::IpAddr;

/// TLS on a connection, for metrics and tap: the labels `tls` and `no_tls_reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TlsStatus {
    /// Plain: both ends are on this machine.
    Loopback,
    /// Plain: discovery gave no identity for the peer.
    NoIdentity,
    /// TLS of the application, carried as it is.
    Opaque,
}

impl TlsStatus {
    /// The status of a plain connection to `peer`.
    pub fn plain(peer: IpAddr) -> Self {
        match peer.is_loopback() {
            true => Self::Loopback,
            false => Self::NoIdentity,
        }
    }

    /// The value of the label `tls`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loopback | Self::NoIdentity => "no_identity",
            Self::Opaque => "opaque",
        }
    }

    /// The value of the label `no_tls_reason`, for a plain connection.
    pub fn no_tls_reason(self) -> Option<&'static str> {
        match self {
            Self::Loopback => Some("loopback"),
            Self::NoIdentity => Some("not_provided_by_service_discovery"),
            Self::Opaque => None,
        }
    }
}
