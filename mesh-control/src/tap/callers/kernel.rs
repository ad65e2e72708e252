//! Finds the processes of connections in `/proc`.

use super::Labels;
use crate::{index::Snapshot, model::Pod, tap::peers::labels};
use std::{
    collections::{HashMap, HashSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
};

/// A process of the mesh: its admin address or process id, and its labels.
#[derive(Debug)]
struct Member {
    admin: Option<SocketAddr>,
    pid: Option<u32>,
    labels: Labels,
}

fn members(running: &Snapshot) -> Vec<Member> {
    let member = |pod: &Arc<Pod>| Member {
        admin: pod.admin,
        pid: pod.pid,
        labels: labels(pod).into(),
    };
    running.pods.iter().map(member).collect()
}

/// The connections of all members of the mesh, by their own ends. A process is a member's if it
/// listens where that one does. Takes milliseconds, and reads files.
pub(super) fn callers(proc: &Path, running: &Snapshot) -> HashMap<SocketAddr, Labels> {
    let members = members(running);
    let sockets = sockets(proc);
    let listening: HashMap<_, _> = sockets
        .iter()
        .filter(|(_, socket)| socket.listens)
        .map(|(inode, socket)| (socket.local, *inode))
        .collect();
    let mut by_inode = HashMap::new();
    let mut by_pid = HashMap::new();
    for member in &members {
        let inode = member.admin.and_then(|admin| listening.get(&admin));
        by_inode.extend(inode.map(|inode| (*inode, &member.labels)));
        by_pid.extend(member.pid.map(|pid| (pid, &member.labels)));
    }
    let mut callers = HashMap::new();
    for (pid, inodes) in processes(proc) {
        let owned = inodes.iter().find_map(|inode| by_inode.get(inode));
        let Some(labels) = owned.or_else(|| by_pid.get(&pid)) else {
            continue;
        };
        let connections = inodes.iter().filter_map(|inode| sockets.get(inode));
        let connections = connections.filter(|socket| !socket.listens);
        callers.extend(connections.map(|socket| (socket.local, Arc::clone(labels))));
    }
    callers
}

#[derive(Debug, PartialEq, Eq)]
struct Socket {
    local: SocketAddr,
    listens: bool,
}

/// All sockets of TCP, by their inodes.
fn sockets(proc: &Path) -> HashMap<u64, Socket> {
    let tables = ["net/tcp", "net/tcp6"].map(|table| fs::read_to_string(proc.join(table)));
    let lines = tables.iter().flatten().flat_map(|table| table.lines());
    lines.filter_map(socket).collect()
}

/// A line of `/proc/net/tcp`: number, own end, the other's, state and, further on, the inode.
fn socket(line: &str) -> Option<(u64, Socket)> {
    let fields: Vec<_> = line.split_ascii_whitespace().collect();
    let (ip, port) = fields.get(1)?.split_once(':')?;
    let local = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
    let listens = *fields.get(3)? == "0A";
    let inode = fields.get(9)?.parse().ok().filter(|inode| *inode != 0)?;
    Some((inode, Socket { local, listens }))
}

/// Words of 32 bits in hexadecimal, each in the order of bytes of this machine.
fn ip_of(text: &str) -> Option<IpAddr> {
    let mut bytes = [0; 16];
    let words = text.len() / 8;
    if !text.is_ascii() || !text.len().is_multiple_of(8) || words > 4 {
        return None;
    }
    for word in 0..words {
        let word_of_text = u32::from_str_radix(&text[word * 8..][..8], 16).ok()?;
        bytes[word * 4..][..4].copy_from_slice(&word_of_text.to_ne_bytes());
    }
    match words {
        1 => Some(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()),
        4 => Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical()),
        _ => None,
    }
}

/// The sockets of each process into which one may look.
fn processes(proc: &Path) -> impl Iterator<Item = (u32, HashSet<u64>)> {
    let all = fs::read_dir(proc).into_iter().flatten().flatten();
    all.filter_map(|process| {
        let pid = process.file_name().to_str()?.parse().ok()?;
        let files = fs::read_dir(process.path().join("fd")).ok()?;
        let inodes = files.flatten().filter_map(|file| {
            let target = fs::read_link(file.path()).ok()?;
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            inode.parse().ok()
        });
        Some((pid, inodes.collect()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        if cfg!(target_endian = "big") {
            return;
        }
        let line = "   1: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  \
                    1000        0 4242 1 0000000000000000 100 0 0 10 0";
        let listens = Socket {
            local: "127.0.0.1:8080".parse().unwrap(),
            listens: true,
        };
        assert_eq!(socket(line), Some((4242, listens)));
        let mapped = line.replace("0100007F:", "0000000000000000FFFF00000100007F:");
        assert_eq!(socket(&mapped), socket(line));
        for (text, ip) in [
            ("00000000000000000000000001000000", Some("::1")),
            ("0100007", None),
            ("010000\u{e9}", None),
            ("0100007F0100007F", None),
            ("+100007F", Some("127.0.0.1")),
        ] {
            let read = ip_of(text).map(|ip| ip.to_string());
            assert_eq!(read.as_deref(), ip, "{text}");
        }
        for line in [
            "",
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
            &line.replace("4242", "0"),
        ] {
            assert_eq!(socket(line), None);
        }
    }
}
