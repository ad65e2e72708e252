//! Where a connection was going before the firewall redirected it here.

use socket2::{SockAddr, SockRef};
use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6},
};
use tokio::net::TcpStream;

/// The original destination of `socket`, as the connection tracking of the kernel remembers it.
///
/// # Errors
///
/// [`RejectReason::Unknown`] if the kernel knows of no such connection.
pub(crate) fn original(socket: &TcpStream) -> Result<SocketAddr, RejectReason> {
    let local = socket.local_addr().map_err(RejectReason::Unknown)?;
    let socket = SockRef::from(socket);
    // An IPv4 connection to an IPv6 socket is one of IPv4 to the firewall.
    let original = match local.ip().to_canonical() {
        IpAddr::V4(_) => socket.original_dst_v4(),
        IpAddr::V6(_) => socket.original_dst_v6(),
    };
    address(&original.map_err(RejectReason::Unknown)?)
}

/// Converts the kernel's answer to an address to connect to.
///
/// # Errors
///
/// It is of neither kind of IP.
pub(crate) fn address(answer: &SockAddr) -> Result<SocketAddr, RejectReason> {
    match answer.as_socket() {
        Some(SocketAddr::V6(addr)) => Ok(match addr.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(ip.into(), addr.port()),
            // Without its scope a link-local address cannot be called.
            IpAddr::V6(ip) => SocketAddrV6::new(ip, addr.port(), 0, addr.scope_id()).into(),
        }),
        Some(addr) => Ok(addr),
        None => {
            let text = "the original destination is no address";
            Err(RejectReason::Unknown(io::Error::other(text)))
        }
    }
}

/// Where a call of the application's goes that was redirected to `local`.
///
/// # Errors
///
/// It was going to the proxy itself.
pub(crate) fn outbound(
    original: SocketAddr,
    local: SocketAddr,
    own: &[SocketAddr],
) -> Result<SocketAddr, RejectReason> {
    if is_own(original, local, own) {
        return Err(RejectReason::Loop(original));
    }
    Ok(original)
}

/// Where a call for the application goes that was redirected to `local`: to the same port on
/// loopback, where the firewall redirects nothing. `ports` are those allowed; none are all of
/// them.
///
/// # Errors
///
/// It was going to the proxy itself, or to a port that is not the application's.
pub(crate) fn inbound(
    original: SocketAddr,
    local: SocketAddr,
    own: &[SocketAddr],
    ports: &[u16],
) -> Result<SocketAddr, RejectReason> {
    let loopback = match original.ip() {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::LOCALHOST),
    };
    let app = SocketAddr::new(loopback, original.port());
    if is_own(original, local, own) || is_own(app, local, own) {
        return Err(RejectReason::Loop(original));
    }
    if !ports.is_empty() && !ports.contains(&original.port()) {
        return Err(RejectReason::Port(original));
    }
    Ok(app)
}

/// Returns true if `addr` is where this proxy listens: what is sent there would come back for ever.
fn is_own(addr: SocketAddr, local: SocketAddr, own: &[SocketAddr]) -> bool {
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    let ip = addr.ip();
    // Redirected connections have two destinations, this one has one.
    if (ip, addr.port()) == (local.ip(), local.port()) {
        return true;
    }
    // Calling no address at all calls this machine.
    let here = ip.is_loopback() || ip.is_unspecified() || ip == local.ip();
    own.iter().any(|own| {
        let is_all = own.ip().is_unspecified() && here;
        let is_here = own.ip().is_loopback() && ip.is_unspecified();
        own.port() == addr.port() && (own.ip() == ip || is_all || is_here)
    })
}

/// Why a connection to a transparent listener goes nowhere.
#[derive(Debug)]
pub(crate) enum RejectReason {
    /// Nothing redirected it.
    Unknown(io::Error),
    /// It was going to this proxy.
    Loop(SocketAddr),
    /// It was going to a port that may not be called.
    Port(SocketAddr),
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(error) => write!(
                f,
                "no original destination, was it redirected by the firewall? ({error})"
            ),
            Self::Loop(addr) => write!(
                f,
                "its original destination {addr} is this proxy itself: it was not redirected, or \
                 the rules do not exempt the proxy's user"
            ),
            Self::Port(addr) => write!(
                f,
                "its original destination {addr} is no port of the application \
                 (--transparent-port)"
            ),
        }
    }
}

impl std::error::Error for RejectReason {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    const OWN: [&str; 3] = ["127.0.0.1:4140", "0.0.0.0:4143", "[::]:4143"];

    fn own() -> Vec<SocketAddr> {
        OWN.iter().map(|text| addr(text)).collect()
    }

    #[test]
    fn a_call_goes_where_it_was_going_unless_that_is_the_proxy() {
        let local = addr("127.0.0.1:4140");
        for (original, goes) in [
            ("10.1.2.3:80", true),
            ("10.1.2.3:4140", true),
            ("[fd00::1]:80", true),
            ("127.0.0.1:4140", false),
            ("127.0.0.1:4143", false),
            ("[::1]:4143", false),
            // Which is this machine.
            ("0.0.0.0:4140", false),
            ("0.0.0.0:4143", false),
            ("0.0.0.0:80", true),
        ] {
            let result = outbound(addr(original), local, &own());
            assert_eq!(result.is_ok(), goes, "{original}: {result:?}");
        }
        let mapped = addr("[::ffff:127.0.0.1]:4140");
        assert!(outbound(addr("127.0.0.1:4140"), mapped, &[]).is_err());
    }

    #[test]
    fn a_call_from_outside_goes_to_the_same_port_on_loopback() {
        let local = addr("10.1.2.3:4143");
        for (original, ports, app) in [
            ("10.1.2.3:80", &[][..], Some("127.0.0.1:80")),
            ("10.1.2.3:80", &[80, 81], Some("127.0.0.1:80")),
            ("[fd00::1]:81", &[80, 81], Some("[::1]:81")),
            ("10.1.2.3:22", &[80, 81], None),
            // Not redirected, and the outbound listener, from outside.
            ("10.1.2.3:4143", &[], None),
            ("10.1.2.3:4140", &[], None),
        ] {
            let result = inbound(addr(original), local, &own(), ports);
            assert_eq!(result.ok(), app.map(addr), "{original} {ports:?}");
        }
    }

    #[test]
    fn an_answer_of_the_kernel_is_an_address_that_can_be_called() {
        for (answer, can_be_called) in [
            ("10.1.2.3:80", "10.1.2.3:80"),
            ("[::ffff:10.1.2.3]:80", "10.1.2.3:80"),
            ("[fd00::1]:80", "[fd00::1]:80"),
            ("[fe80::1%7]:80", "[fe80::1%7]:80"),
        ] {
            let read = address(&addr(answer).into()).unwrap();
            assert_eq!(read, addr(can_be_called), "{answer}");
        }
        let path = SockAddr::unix("/a/path").unwrap();
        assert!(matches!(address(&path), Err(RejectReason::Unknown(_))));
    }

    #[tokio::test]
    async fn a_connection_that_nothing_redirected_goes_nowhere() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = listener.local_addr().unwrap();
        let _caller = TcpStream::connect(local).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        // Whether the kernel tracks connections or not, its word is not a place to go to.
        let result = original(&socket).and_then(|addr| outbound(addr, local, &[]));
        assert!(result.is_err(), "{result:?}");
    }
}
