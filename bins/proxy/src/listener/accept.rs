use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::{
    net::{SocketAddr, TcpListener},
    time::Duration,
};

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Keep-alive probes without an answer after which a client counts as gone.
const PROBES: u32 = 4;

/// Opens `addr` once for each of `workers`: the kernel spreads connections over the sockets.
///
/// A client that was silent for `keep_alive` is asked by TCP whether it is still there, and is
/// given up after as long again. Connections inherit that from their listener.
///
/// # Errors
///
/// The address is taken, or may not be used.
pub(crate) fn bind(
    addr: SocketAddr,
    workers: usize,
    keep_alive: Duration,
) -> anyhow::Result<Vec<TcpListener>> {
    let open = || -> std::io::Result<Vec<TcpListener>> {
        let first = socket(addr)?;
        first.bind(&addr.into())?;
        let addr = first.local_addr()?.as_socket().unwrap_or(addr);
        let mut sockets = vec![first];
        if workers > 1 {
            // Only after the first has the address: with SO_REUSEPORT set before, a second
            // proxy would share a taken port instead of failing.
            sockets[0].set_reuse_port(true)?;
            for _ in 1..workers {
                let next = socket(addr)?;
                next.set_reuse_port(true)?;
                next.bind(&addr.into())?;
                sockets.push(next);
            }
        }
        // The kernel counts whole seconds, from 1 to 32,767.
        let seconds = |time: Duration| Duration::from_secs(time.as_secs().clamp(1, 32_767));
        let probes = TcpKeepalive::new()
            .with_time(seconds(keep_alive))
            .with_interval(seconds(keep_alive / PROBES))
            .with_retries(PROBES);
        for socket in &sockets {
            socket.set_tcp_keepalive(&probes)?;
            socket.listen(BACKLOG)?;
        }
        Ok(sockets.into_iter().map(TcpListener::from).collect())
    };
    open().with_context(|| format!("cannot listen on {addr}"))
}

fn socket(addr: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(addr),
        Type::STREAM.nonblocking(),
        Some(Protocol::TCP),
    )?;
    // Connections of an earlier run in TIME_WAIT do not keep the port.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::HashSet, net::TcpStream};

    const ANY: ([u8; 4], u16) = ([127, 0, 0, 1], 0);
    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_client_whose_machine_is_gone_is_noticed() {
        let listener = bind(ANY.into(), 1, MINUTE).unwrap().remove(0);
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepted = loop {
            if let Ok((accepted, _)) = listener.accept() {
                break accepted;
            }
        };
        let accepted = socket2::SockRef::from(&accepted);
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_keepalive_time().unwrap(), MINUTE);
        assert_eq!(accepted.tcp_keepalive_interval().unwrap(), MINUTE / 4);
        assert_eq!(accepted.tcp_keepalive_retries().unwrap(), 4);
    }

    #[test]
    fn a_taken_port_is_an_error_however_many_workers() {
        for (holder, comer) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let held = bind(ANY.into(), holder, MINUTE).unwrap();
            let addr = held[0].local_addr().unwrap();
            let error = bind(addr, comer, MINUTE).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot listen on {addr}"));
        }
    }

    #[test]
    fn connections_are_spread_over_the_workers() {
        let sockets = bind(ANY.into(), 3, MINUTE).unwrap();
        let addr = sockets[0].local_addr().unwrap();
        let _connections: Vec<_> = (0..64).map(|_| TcpStream::connect(addr).unwrap()).collect();
        let accepting: HashSet<_> = sockets
            .iter()
            .enumerate()
            .filter(|(_, socket)| socket.accept().is_ok())
            .map(|(worker, _)| worker)
            .collect();
        assert_eq!(accepting.len(), 3);
    }
}
