//! Who it is that calls from an address of this machine.
//!
//! Between sidecars without TLS nobody says who he is, and on one machine all have the same
//! address. But the kernel knows which process has which connection.

use super::known::labels;
use crate::source::workloads::Workloads;
use std::{
    collections::{HashMap, HashSet},
    fs,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Mutex, time::Instant};

/// The connections of the mesh's processes, as they were a moment ago.
#[derive(Debug, Default)]
pub(super) struct Callers(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    at: Option<Instant>,
    callers: HashMap<SocketAddr, Labels>,
    /// Who was not among them, and when.
    strangers: HashMap<SocketAddr, Instant>,
}

type Labels = Arc<[(String, String)]>;

/// How often the kernel is asked at most: it takes milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// The most strangers that are remembered as such.
const MAX_STRANGERS: usize = 1_000;

/// For so long a connection that is known is not asked about again: another may have its port.
const FRESH: Duration = Duration::from_secs(5);

impl Callers {
    /// What is known of who has the connection from `addr`; it may take a moment. Nothing is known
    /// of other machines, and of processes that are not `running`'s.
    pub(super) async fn of(&self, addr: SocketAddr, running: &Workloads) -> Option<Labels> {
        if !addr.ip().is_loopback() {
            return None;
        }
        let mut seen = self.0.lock().await;
        let stranger = seen.strangers.get(&addr);
        if stranger.is_some_and(|since| since.elapsed() < FRESH) {
            return None;
        }
        if let Some(at) = seen.at {
            let known = seen.callers.get(&addr);
            if known.is_some() && at.elapsed() < FRESH {
                return known.cloned();
            }
            tokio::time::sleep_until(at + PAUSE).await;
        }
        let members = members(running);
        let callers = tokio::task::spawn_blocking(move || callers(Path::new("/proc"), &members));
        seen.callers = callers.await.unwrap_or_default();
        let now = Instant::now();
        seen.at = Some(now);
        let caller = seen.callers.get(&addr).cloned();
        if caller.is_none() {
            if seen.strangers.len() >= MAX_STRANGERS {
                seen.strangers.clear();
            }
            seen.strangers.insert(addr, now);
        }
        caller
    }
}

/// A process of the mesh: where it listens, or its number, and who it is.
#[derive(Debug)]
struct Member {
    admin: Option<SocketAddr>,
    pid: Option<u32>,
    labels: Labels,
}

fn members(running: &Workloads) -> Vec<Member> {
    let mut members = Vec::new();
    for workload in &running.workloads {
        for replica in &workload.replicas {
            members.push(Member {
                admin: replica.admin,
                pid: replica.pid,
                labels: labels(&workload.namespace, &workload.name, &replica.pod).into(),
            });
        }
    }
    members.extend(running.gateway.iter().map(|gateway| {
        let name = crate::stats::GATEWAY;
        Member {
            admin: Some(gateway.admin),
            pid: None,
            labels: labels(&running.namespace, name, name).into(),
        }
    }));
    members
}

/// The connections of all members, by their own ends. A process is a member's if it listens where
/// that one does.
fn callers(proc: &Path, members: &[Member]) -> HashMap<SocketAddr, Labels> {
    let sockets = sockets(proc);
    let listening: HashMap<_, _> = sockets
        .iter()
        .filter(|(_, socket)| socket.listens)
        .map(|(inode, socket)| (socket.local, *inode))
        .collect();
    let mut by_inode = HashMap::new();
    let mut by_pid = HashMap::new();
    for member in members {
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
    use std::net::{TcpListener, TcpStream};

    fn running(admin: &str, pid: Option<u32>) -> Workloads {
        serde_json::from_value(serde_json::json!({
            "generation": 1, "namespace": "shop", "workloads": [
                {"name": "web", "namespace": "shop", "replicas": [
                    {"pod": "web-0", "admin": admin, "pid": pid},
                ]},
            ],
        }))
        .unwrap()
    }

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

    #[tokio::test]
    async fn the_process_that_has_a_connection_is_its_caller() {
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = admin.local_addr().map(|addr| (admin, addr)).unwrap();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let call = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let from = call.local_addr().unwrap();

        let pod = |labels: Option<Labels>| {
            let labels = labels?;
            let pod = labels.iter().find(|(name, _)| name == "pod")?;
            Some(pod.1.clone())
        };
        let callers = Callers::default();
        let ours = running(&admin.1.to_string(), None);
        assert_eq!(pod(callers.of(from, &ours).await).unwrap(), "web-0");
        let ours = running("127.0.0.1:1", Some(std::process::id()));
        assert_eq!(
            pod(Callers::default().of(from, &ours).await).unwrap(),
            "web-0"
        );
        let theirs = running("127.0.0.1:1", None);
        assert_eq!(pod(Callers::default().of(from, &theirs).await), None);

        // One that began after the kernel was asked is asked about again.
        let later = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let from = later.local_addr().unwrap();
        let ours = running(&admin.1.to_string(), None);
        assert_eq!(pod(callers.of(from, &ours).await).unwrap(), "web-0");
        assert_eq!(
            callers.of("192.0.2.1:9".parse().unwrap(), &ours).await,
            None
        );
    }
}
