//! Listening TCP sockets and their processes, as `/proc` shows them.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

/// Most processes that are looked at.
const MAX_PROCESSES: usize = 4096;
/// State of a listening socket in `/proc/net/tcp`.
const LISTEN: &str = "0A";

/// Returns the addresses that process `pid` and its descendants listen on.
pub(crate) fn of_tree(pid: u32) -> BTreeSet<SocketAddr> {
    let sockets = sockets(pid);
    let mut inodes = BTreeSet::new();
    let mut pids = vec![pid];
    let mut seen = 0;
    while let Some(pid) = pids.pop() {
        seen += 1;
        if seen > MAX_PROCESSES {
            break;
        }
        inodes.extend(inodes_of(pid));
        pids.extend(children(pid));
    }
    let own = sockets
        .into_iter()
        .filter(|(_, inode)| inodes.contains(inode));
    own.map(|(addr, _)| addr).collect()
}

/// Returns a process that listens on `port` in the network namespace of this process.
pub(crate) fn holder(port: u16) -> Option<u32> {
    let sockets = sockets(std::process::id()).into_iter();
    let wanted: BTreeSet<u64> = sockets
        .filter(|(addr, _)| addr.port() == port)
        .map(|(_, inode)| inode)
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|pid| inodes_of(*pid).any(|inode| wanted.contains(&inode)))
}

/// The listening sockets of the network namespace of `pid`, with their inodes.
fn sockets(pid: u32) -> Vec<(SocketAddr, u64)> {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/net/{file}"));
    let texts = [read("tcp"), read("tcp6")];
    let lines = texts.iter().flatten().flat_map(|text| text.lines().skip(1));
    lines.filter_map(socket).collect()
}

/// Reads a line of `/proc/net/tcp` or `tcp6` if it is about a listening socket.
fn socket(line: &str) -> Option<(SocketAddr, u64)> {
    let fields: Vec<_> = line.split_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = local.split_once(':').filter(|_| *state == LISTEN)?;
    // Words of 32 bits in the byte order of the machine.
    let words =
        (0..ip.len() / 8).map(|word| u32::from_str_radix(ip.get(word * 8..word * 8 + 8)?, 16).ok());
    let bytes: Vec<u8> = words
        .collect::<Option<Vec<_>>>()?
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
    let ip: IpAddr = match <[u8; 4]>::try_from(&*bytes) {
        Ok(v4) => Ipv4Addr::from(v4).into(),
        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(&*bytes).ok()?).into(),
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some((SocketAddr::new(ip, port), inode.parse().ok()?))
}

/// The inodes of the sockets that `pid` has open.
fn inodes_of(pid: u32) -> impl Iterator<Item = u64> {
    let files = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    files.flatten().filter_map(|file| {
        let link = fs::read_link(file.path()).ok()?;
        let inode = link.to_str()?.strip_prefix("socket:[")?;
        inode.strip_suffix(']')?.parse().ok()
    })
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten();
    let texts = threads
        .flatten()
        .map(|thread| fs::read_to_string(thread.path().join("children")));
    let texts: Vec<String> = texts.flatten().collect();
    let words = texts.iter().flat_map(|text| text.split_whitespace());
    words.filter_map(|pid| pid.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listening_socket_is_found_with_its_process() {
        let own = std::process::id();
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(host) else {
                mesh_skips::skip("this machine has no IPv6");
                continue;
            };
            let addr = listener.local_addr().unwrap();
            assert!(of_tree(own).contains(&addr), "{addr} of {:?}", of_tree(own));
            assert_eq!(holder(addr.port()), Some(own));
            drop(listener);
            assert!(!of_tree(own).contains(&addr));
        }
    }

    #[test]
    fn only_listening_sockets_are_read() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1";
        if cfg!(target_endian = "little") {
            let addr = ([127, 0, 0, 1], 8080).into();
            assert_eq!(socket(line), Some((addr, 4711)));
        }
        assert_eq!(socket(&line.replace(" 0A ", " 01 ")), None);
        assert_eq!(socket("nonsense"), None);
    }
}
