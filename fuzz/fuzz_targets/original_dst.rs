//! Whatever the kernel says of where a redirected connection was going: never to the proxy itself,
//! and from outside to nothing but the application's ports on loopback.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_proxy::strangers::captured;
use socket2::{SockAddr, SockAddrStorage};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[derive(Debug, arbitrary::Arbitrary)]
struct Input {
    /// 2 and 10 are those of IPv4 and IPv6, so they come up.
    family: Family,
    /// What follows it: port, address, scope.
    rest: [u8; 26],
    length: u8,
    local: (IpAddr, u16),
    own: Vec<(Known, u16)>,
    ports: Vec<u16>,
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Family {
    V4,
    V6,
    Other(u16),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Known {
    AnyV4,
    AnyV6,
    Local,
    Other(IpAddr),
}

/// What `getsockopt` leaves behind.
fn answer(input: &Input) -> SockAddr {
    let family = match input.family {
        Family::V4 => 2,
        Family::V6 => 10,
        Family::Other(family) => family,
    };
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..].copy_from_slice(&input.rest);
    let mut storage = SockAddrStorage::zeroed();
    let length = bytes.len().min(usize::from(input.length)).max(2);
    // SAFETY: the storage is larger than `bytes`, it is plain data of which any bits are valid,
    // and `length` is not more than what was written.
    unsafe {
        let storage: *mut SockAddrStorage = &mut storage;
        storage
            .cast::<u8>()
            .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
    }
    unsafe { SockAddr::new(storage, length as _) }
}

fuzz_target!(|input: Input| {
    let local = SocketAddr::new(input.local.0, input.local.1);
    let own: Vec<SocketAddr> = input
        .own
        .iter()
        .map(|(known, port)| {
            let ip = match known {
                Known::AnyV4 => Ipv4Addr::UNSPECIFIED.into(),
                Known::AnyV6 => Ipv6Addr::UNSPECIFIED.into(),
                Known::Local => local.ip(),
                Known::Other(ip) => *ip,
            };
            SocketAddr::new(ip, *port)
        })
        .collect();
    let answer = answer(&input);
    let [out, into] = captured(&answer, local, &own, &input.ports);
    // What calling `addr` would reach.
    let is_here = |addr: SocketAddr| {
        let ip = addr.ip();
        ip.is_loopback() || ip.is_unspecified() || ip == local.ip().to_canonical()
    };
    for addr in [out, into].into_iter().flatten() {
        assert_ne!((addr.ip(), addr.port()), (local.ip(), local.port()));
        for own in own.iter().filter(|own| own.port() == addr.port()) {
            assert_ne!(own.ip(), addr.ip(), "{addr} is {own}");
            assert!(!(own.ip().is_unspecified() && is_here(addr)), "{addr} is {own}");
        }
        assert!(!matches!(addr.ip(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()));
        assert!(answer.as_socket().is_some());
        assert_eq!(addr.port(), answer.as_socket().map_or(0, |addr| addr.port()));
    }
    if let Some(app) = into {
        assert!(app.ip().is_loopback());
        assert!(input.ports.is_empty() || input.ports.contains(&app.port()));
    }
});
