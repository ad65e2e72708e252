//! Identities of peers, and the labels that show them. The one place that decides either.

use mesh_core::TlsStatus;
use mesh_pool::{Protocol, Target};
use mesh_stats::prometheus::Labels;
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

/// The target of a connection to `addr`. Connections are plain.
pub(crate) fn target(addr: SocketAddr, protocol: Protocol) -> Target {
    Target {
        addr,
        identity: None,
        protocol,
    }
}

/// The identity that the peer of an accepted connection has proved. Connections are plain.
pub(crate) fn of_caller() -> Option<Arc<str>> {
    None
}

/// TLS on connections to the endpoint `addr`.
pub(crate) fn status(addr: SocketAddr) -> TlsStatus {
    TlsStatus::plain(addr.ip())
}

/// TLS on all connections of one direction and side, counted together.
pub(crate) fn status_of_all() -> TlsStatus {
    TlsStatus::plain(IpAddr::from(Ipv4Addr::LOCALHOST))
}

/// TLS of the application, which passes as it is.
pub(crate) fn status_of_carried_tls() -> TlsStatus {
    TlsStatus::Opaque
}

/// Adds the labels of a metric.
pub(crate) fn with_labels(labels: Labels, status: TlsStatus) -> Labels {
    let labels = labels.with("tls", status.as_str());
    match status.no_tls_reason() {
        Some(reason) => labels.with("no_tls_reason", reason),
        None => labels,
    }
}

/// The label of a tap event.
pub(crate) fn tap_label(status: TlsStatus) -> (String, String) {
    ("tls".to_owned(), status.as_str().to_owned())
}
