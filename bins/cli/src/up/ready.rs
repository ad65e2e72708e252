//! Readiness probes of processes.

use super::netns;
use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

/// Bounds of the pause between two probes.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(25)..=Duration::from_secs(1);
/// Limit for one probe.
const PATIENCE: Duration = Duration::from_secs(1);

/// A check that decides whether a process is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    /// It is, as soon as it runs.
    Running,
    /// Its port accepts connections.
    Accepts(SocketAddr),
    /// A GET of this path is answered with 2xx or 3xx.
    Http(SocketAddr, String),
    /// The same from within the network namespace at this path.
    Within(PathBuf, Box<Self>),
    /// The same, on the socket of this name.
    Socket(PathBuf, String),
}

impl Probe {
    /// Asks until the answer is yes; `why` gets the reason of each no. The pauses grow to 1 s.
    pub(crate) async fn passes(&self, mut why: impl FnMut(String)) {
        let started = Instant::now();
        loop {
            let answer = tokio::time::timeout(PATIENCE, self.ask()).await;
            match answer.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut))) {
                Ok(()) => return,
                Err(error) => why(format!("{self}: {error}")),
            }
            tokio::time::sleep(pause_after(started.elapsed())).await;
        }
    }

    async fn ask(&self) -> io::Result<()> {
        match self {
            Self::Within(network, probe) => probe.ask_from(Some(network)).await,
            _ => self.ask_from(None).await,
        }
    }

    async fn ask_from(&self, network: Option<&Path>) -> io::Result<()> {
        match self {
            // There are no namespaces within namespaces.
            Self::Running | Self::Within(..) => Ok(()),
            Self::Accepts(addr) => connect(network, *addr).await.map(drop),
            Self::Http(addr, path) => get(connect(network, *addr).await?, path).await,
            Self::Socket(socket, path) => {
                get(crate::client::connect_unix(socket).await?, path).await
            }
        }
    }
}

/// Returns the pause after probes for `elapsed`: a tenth of it, so that a start seems to take at most a
/// tenth longer than it does.
fn pause_after(elapsed: Duration) -> Duration {
    (elapsed / 10).clamp(*PAUSE.start(), *PAUSE.end())
}

impl std::fmt::Display for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Running => f.write_str("running"),
            Self::Within(_, probe) => write!(f, "{probe} in its pod"),
            Self::Accepts(addr) => write!(f, "connecting to {addr}"),
            Self::Http(addr, path) => write!(f, "GET http://{addr}{path}"),
            Self::Socket(socket, path) => write!(f, "GET {path} on {}", socket.display()),
        }
    }
}

/// Connects to `addr`; if 127.0.0.1 refuses, to `::1`, where programs that bind `localhost` may
/// listen.
async fn connect(network: Option<&Path>, addr: SocketAddr) -> io::Result<TcpStream> {
    match connect_once(network, addr).await {
        Err(error)
            if error.kind() == io::ErrorKind::ConnectionRefused
                && addr.ip() == Ipv4Addr::LOCALHOST =>
        {
            let other = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), addr.port());
            let connected = connect_once(network, other).await;
            connected.map_err(|_| error)
        }
        connected => connected,
    }
}

async fn connect_once(network: Option<&Path>, addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = match network {
        Some(network) => netns::connect(network, addr, PATIENCE).await?,
        None => TcpStream::connect(addr).await?,
    };
    // On loopback, a connection to a free port may by chance be given that port as its own end,
    // and so talk to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// Only the status is of interest, so this needs no HTTP client.
async fn get(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> io::Result<()> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::with_capacity(256);
    while head.len() < 12 && stream.read_buf(&mut head).await? > 0 {}
    let status = head.get(9..12).unwrap_or_default();
    if head.starts_with(b"HTTP/1.") && matches!(status.first(), Some(b'2' | b'3')) {
        return Ok(());
    }
    let status = String::from_utf8_lossy(status).into_owned();
    Err(io::Error::other(format!("answered {status}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn probes_become_rare() {
        for (elapsed, pause) in [(0, 25), (200, 25), (1_000, 100), (60_000, 1_000)] {
            let pause = Duration::from_millis(pause);
            assert_eq!(pause_after(Duration::from_millis(elapsed)), pause);
        }
    }

    #[tokio::test]
    async fn an_error_answer_is_not_readiness() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probe = Probe::Http(listener.local_addr().unwrap(), "/ping".into());
        let server = tokio::spawn(async move {
            for status in ["503 Service Unavailable", "204 No Content"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 512];
                let read = stream.read(&mut request).await.unwrap();
                assert!(request[..read].starts_with(b"GET /ping HTTP/1.1\r\n"));
                let answer = format!("HTTP/1.1 {status}\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let mut reasons = Vec::new();
        probe.passes(|why| reasons.push(why)).await;
        server.await.unwrap();
        assert_eq!(reasons.len(), 1);
        assert!(reasons[0].ends_with("/ping: answered 503"), "{reasons:?}");
    }
}
