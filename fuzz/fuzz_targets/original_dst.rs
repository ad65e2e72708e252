//! Whatever the kernel says of where a redirected connection was going: never to the proxy itself,
//! and from outside to nothing but the application's ports on loopback.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_proxy::fuzzing::captured;
use socket2::{SockAddr, SockAddrStorage};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The family, what follows it (port, address, scope), and the length that the kernel tells.
type Answer = (u8, [u8; 26], u8);

/// Where the proxy listens: on all addresses, on that of the connection, or on another.
type Own = (u8, IpAddr, u16);

/// Returns the address that `getsockopt` writes.
fn answer((family, rest, length): Answer) -> SockAddr {
    // Those of IPv4 and IPv6, most of the time.
    let family = match family {
        0..100 => 2,
        100..200 => 10,
        other => u16::from(other - 200),
    };
    let mut bytes = [0; 28];
    bytes[..2].copy_from_slice(&family.to_ne_bytes());
    bytes[2..].copy_from_slice(&rest);
    let mut storage = SockAddrStorage::zeroed();
    let length = bytes.len().min(usize::from(length)).max(2);
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

fuzz_target!(|input: (Answer, (IpAddr, u16), Vec<Own>, Vec<u16>)| {
    let (told, (ip, port), own, ports) = input;
    let local = SocketAddr::new(ip, port);
    let own: Vec<SocketAddr> = own
        .iter()
        .map(|(known, other, port)| {
            let ip = match known {
                0..50 => Ipv4Addr::UNSPECIFIED.into(),
                50..100 => Ipv6Addr::UNSPECIFIED.into(),
                100..150 => local.ip(),
                _ => *other,
            };
            SocketAddr::new(ip, *port)
        })
        .collect();
    let answer = answer(told);
    let [out, into] = captured(&answer, local, &own, &ports);
    // What calling `addr` would reach.
    let is_here = |addr: SocketAddr| {
        let ip = addr.ip();
        ip.is_loopback() || ip.is_unspecified() || ip == local.ip().to_canonical()
    };
    for addr in [out, into].into_iter().flatten() {
        assert_ne!((addr.ip(), addr.port()), (local.ip(), local.port()));
        for own in own.iter().filter(|own| own.port() == addr.port()) {
            assert_ne!(own.ip(), addr.ip(), "{addr} is {own}");
            assert!(
                !(own.ip().is_unspecified() && is_here(addr)),
                "{addr} is {own}"
            );
        }
        assert!(!matches!(addr.ip(), IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some()));
        assert!(answer.as_socket().is_some());
        assert_eq!(
            addr.port(),
            answer.as_socket().map_or(0, |addr| addr.port())
        );
    }
    if let Some(app) = into {
        assert!(app.ip().is_loopback());
        assert!(ports.is_empty() || ports.contains(&app.port()));
    }
});
