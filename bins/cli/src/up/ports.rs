//! Loopback ports for sidecars and programs.

use anyhow::{Result, bail};
use std::{
    collections::BTreeSet,
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener},
    ops::Range,
};

/// The ports below the range from which the kernel takes those of outgoing connections: a port
/// from that range may be in use just when a sidecar wants it back after a restart.
const LOWEST: u16 = 15_000;

/// Hands out ports that are free now, and none twice.
#[derive(Debug)]
pub(crate) struct Ports {
    range: Range<u16>,
    next: u16,
    taken: BTreeSet<u16>,
}

impl Ports {
    /// Starts looking at a place that differs from mesh to mesh.
    pub(crate) fn new(seed: u32) -> Self {
        let local = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range");
        let ephemeral = local
            .ok()
            .and_then(|range| range.split_whitespace().next()?.parse().ok())
            .unwrap_or(32_768_u16);
        let range = if ephemeral > LOWEST + 5_000 {
            LOWEST..ephemeral
        } else {
            40_000..65_000
        };
        let width = u32::from(range.end - range.start);
        let offset = seed.wrapping_mul(0x9E37_79B1) % width;
        Self {
            next: range.start + u16::try_from(offset).unwrap_or_default(),
            range,
            taken: BTreeSet::new(),
        }
    }

    /// A free port.
    pub(crate) fn next(&mut self) -> Result<u16> {
        for _ in self.range.clone() {
            let port = self.next;
            self.next = if port + 1 < self.range.end {
                port + 1
            } else {
                self.range.start
            };
            if !self.taken.contains(&port) && is_free(port) {
                self.taken.insert(port);
                return Ok(port);
            }
        }
        bail!(
            "no free loopback port between {} and {}",
            self.range.start,
            self.range.end
        )
    }

    /// Keeps `ports` from being handed out.
    pub(crate) fn reserve_all(&mut self, ports: impl IntoIterator<Item = u16>) {
        self.taken.extend(ports);
    }

    /// Takes ports back.
    pub(crate) fn release(&mut self, ports: impl IntoIterator<Item = u16>) {
        for port in ports {
            self.taken.remove(&port);
        }
    }
}

/// Returns true if `port` is free now on 127.0.0.1 and on `::1`, if this machine has that.
pub(crate) fn is_free(port: u16) -> bool {
    let bind = |ip: IpAddr| TcpListener::bind((ip, port));
    let v6 = bind(Ipv6Addr::LOCALHOST.into()).map_err(|error| error.kind());
    bind(Ipv4Addr::LOCALHOST.into()).is_ok() && !matches!(v6, Err(io::ErrorKind::AddrInUse))
}

/// Returns true if this machine has the address `::1`.
pub(crate) fn has_v6() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_port_is_handed_out_twice_until_it_is_released() {
        let mut ports = Ports::new(7);
        let first = ports.next().unwrap();
        let second = ports.next().unwrap();
        assert_ne!(first, second);
        ports.next = first;
        assert_ne!(ports.next().unwrap(), first);
        ports.release([first]);
        ports.next = first;
        assert_eq!(ports.next().unwrap(), first);
    }

    #[test]
    fn a_port_in_use_is_passed_over() {
        let mut ports = Ports::new(99);
        let free = ports.next().unwrap();
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, free)).unwrap();
        ports.release([free]);
        ports.next = free;
        assert_ne!(ports.next().unwrap(), free);
    }
}
