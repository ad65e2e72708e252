//! Finds the user at the other end of a loopback connection.
//!
//! Any user of the machine may query the controller. Only the user that runs it may change the
//! mesh.

use std::{fs, net::SocketAddr};

/// Returns true if `peer`, connected to our `local`, belongs to this process's user or to root.
/// Returns false if the kernel does not list the connection.
pub(super) fn is_ours(peer: SocketAddr, local: SocketAddr) -> bool {
    let table = if peer.is_ipv4() { "tcp" } else { "tcp6" };
    let Ok(sockets) = fs::read_to_string(format!("/proc/self/net/{table}")) else {
        return false;
    };
    let own = rustix::process::geteuid().as_raw();
    uid(&sockets, peer, local).is_some_and(|uid| uid == own || uid == 0)
}

/// The owner of the socket at `local` that is connected to `remote`, in the kernel's table.
fn uid(sockets: &str, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
    let (local, remote) = (hex(local), hex(remote));
    sockets.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let is_it = fields.next()? == local && fields.next()? == remote;
        // State, queues, timer, retransmissions; then the owner.
        is_it.then(|| fields.nth(4)?.parse().ok()).flatten()
    })
}

/// As the kernel writes it: words of the address in the machine's own order, then the port.
fn hex(addr: SocketAddr) -> String {
    let words: String = match addr.ip() {
        std::net::IpAddr::V4(ip) => word(ip.octets()),
        std::net::IpAddr::V6(ip) => {
            let octets = ip.octets();
            let (words, _) = octets.as_chunks::<4>();
            words.iter().map(|bytes| word(*bytes)).collect()
        }
    };
    format!("{words}:{:04X}", addr.port())
}

fn word(bytes: [u8; 4]) -> String {
    format!("{:08X}", u32::from_ne_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_owner_of_a_connection_is_found() {
        for addr in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(addr) else {
                continue; // A machine without IPv6.
            };
            let local = listener.local_addr().unwrap();
            let client = TcpStream::connect(local).unwrap();
            let peer = client.local_addr().unwrap();
            assert!(is_ours(peer, local), "{addr}");
            let other = SocketAddr::new(peer.ip(), peer.port() ^ 1);
            assert!(!is_ours(other, local), "{addr}");
        }
    }

    #[test]
    fn a_connection_of_another_user_is_not_ours() {
        let sockets = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 0100007F:1F96 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 17\n   \
            1: 0100007F:9C40 0100007F:1F96 01 00000000:00000000 00:00000000 00000000  1234        0 18 1\n";
        let peer: SocketAddr = "127.0.0.1:40000".parse().unwrap();
        let local: SocketAddr = "127.0.0.1:8086".parse().unwrap();
        if cfg!(target_endian = "little") {
            assert_eq!(uid(sockets, peer, local), Some(1234));
        }
        assert_eq!(uid(sockets, local, peer), None);
        assert_eq!(uid("nonsense", peer, local), None);
    }
}
