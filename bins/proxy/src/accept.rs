use anyhow::Context as _;
use socket2::{Domain, Protocol, Socket, Type};
use std::net::{SocketAddr, TcpListener};

/// Connections that wait to be accepted; the kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Opens `addr` once for each of `workers`: the kernel spreads connections over the sockets.
///
/// # Errors
///
/// The address is taken, or may not be used.
pub(crate) fn bind(addr: SocketAddr, workers: usize) -> anyhow::Result<Vec<TcpListener>> {
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
        for socket in &sockets {
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

    #[test]
    fn a_taken_port_is_an_error_however_many_workers() {
        for (holder, comer) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let held = bind(ANY.into(), holder).unwrap();
            let addr = held[0].local_addr().unwrap();
            let error = bind(addr, comer).unwrap_err();
            assert_eq!(error.to_string(), format!("cannot listen on {addr}"));
        }
    }

    #[test]
    fn connections_are_spread_over_the_workers() {
        let sockets = bind(ANY.into(), 3).unwrap();
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
