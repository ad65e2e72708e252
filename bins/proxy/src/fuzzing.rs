//! Readers of bytes from outside, for the fuzz targets. Not an interface: it changes as they do.

use crate::{
    admin::Admin, config::Limits, listener::capture, registry::Registry, signals::Shutdown,
};
use http::{Method, Uri};
use mesh_serve::{
    Protocol,
    detect::{self, Hello},
};
use mesh_tap::Tap;
use socket2::SockAddr;
use std::{net::SocketAddr, sync::Arc};

/// The result of protocol detection on the first bytes of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct First {
    /// `None` while more bytes are needed.
    pub protocol: Option<&'static str>,
    /// The server that a TLS client names.
    pub server_name: Option<String>,
    /// True if more bytes may yield another name.
    pub name_is_pending: bool,
}

/// Reads the first bytes of a connection.
pub fn first(bytes: &[u8]) -> First {
    let (protocol, hello) = detect::first(bytes);
    First {
        protocol: protocol.map(|protocol| match protocol {
            Protocol::Http1 => "HTTP/1",
            Protocol::Http2 => "HTTP/2",
            Protocol::Tls => "TLS",
            Protocol::Opaque => "opaque",
        }),
        name_is_pending: hello == Hello::Incomplete,
        server_name: match hello {
            Hello::Named(name) => Some(name.into()),
            Hello::Incomplete | Hello::Unnamed => None,
        },
    }
}

/// The status that an admin port gives to a stranger, and to a neighbour on the same machine; none
/// for the tap.
pub fn admin(method: &Method, uri: &Uri) -> [Option<u16>; 2] {
    let (stop, _shutdown) = Shutdown::channel();
    let limits = Limits::default();
    let admin = Admin {
        registry: Arc::new(Registry::new(&[], &limits)),
        tap: Tap::new(),
        discover: None,
        stop,
        stopping: Arc::default(),
        limits,
    };
    let peers: [SocketAddr; 2] = [([192, 0, 2, 1], 9).into(), ([127, 0, 0, 1], 9).into()];
    peers.map(|peer| Some(admin.route(peer, method, uri)?.status().as_u16()))
}

/// Where a connection goes that was redirected to `local`, a call of the application's and one for
/// it, if its original destination is what the kernel answered; `None` for nowhere.
pub fn captured(
    answer: &SockAddr,
    local: SocketAddr,
    own: &[SocketAddr],
    ports: &[u16],
) -> [Option<SocketAddr>; 2] {
    let Ok(original) = capture::address(answer) else {
        return [None; 2];
    };
    [
        capture::outbound(original, local, own).ok(),
        capture::inbound(original, local, own, ports).ok(),
    ]
}
