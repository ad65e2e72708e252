//! The one place that opens connections.

use crate::SendError;
use mesh_core::Fault;
use mesh_transport::{Flusher, Io, Meter};
use std::{
    io::{self, IoSlice},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// An endpoint to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address of its socket.
    pub addr: SocketAddr,
    /// The name that it must prove in TLS; `None` for a plain connection.
    pub identity: Option<Arc<str>>,
    /// The protocol that is going to be spoken.
    pub protocol: Protocol,
}

/// The protocol that is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 by prior knowledge.
    Http2,
    /// Any other, carried as bytes.
    Opaque,
}

/// Bounds and counts connections that are opened.
#[derive(Clone, Debug)]
pub struct Connector {
    /// Time that connecting may take; 1 s by default.
    pub timeout: Duration,
    /// Counts connections and their bytes.
    pub meter: Arc<Meter>,
    /// Where set, a target at 127.0.0.1 or `::1` that refuses is tried at the other of the two.
    pub loopbacks: Option<Arc<Loopbacks>>,
}

/// Remembers that a port accepts connections at the other loopback address: a program that binds
/// `localhost` listens on 127.0.0.1 or on `::1`, as its runtime resolves the name.
#[derive(Debug, Default)]
pub struct Loopbacks {
    /// The port that was last found so; 0 for none. Only a hint for which one to try first.
    port: AtomicU16,
}

impl Loopbacks {
    /// The address at which a connection to `addr` is tried first, and then.
    fn order(&self, addr: SocketAddr) -> [SocketAddr; 2] {
        let other = SocketAddr::new(
            match addr.ip() {
                IpAddr::V4(_) => Ipv6Addr::LOCALHOST.into(),
                IpAddr::V6(_) => Ipv4Addr::LOCALHOST.into(),
            },
            addr.port(),
        );
        match self.port.load(Relaxed) == addr.port() {
            true => [other, addr],
            false => [addr, other],
        }
    }

    /// Connects to `addr`, or to its port at the other loopback address.
    async fn open(&self, addr: SocketAddr) -> io::Result<TcpStream> {
        let [first, second] = self.order(addr);
        let refused = match TcpStream::connect(first).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => error,
            opened => return opened,
        };
        // Of the two errors, the first is about the address that people know.
        let opened = TcpStream::connect(second).await.map_err(|_| refused)?;
        self.port
            .store(if second == addr { 0 } else { addr.port() }, Relaxed);
        Ok(opened)
    }
}

/// Opens a socket to `addr`.
async fn open(addr: SocketAddr, connector: &Connector) -> io::Result<TcpStream> {
    let is_loopback = [
        IpAddr::from(Ipv4Addr::LOCALHOST),
        Ipv6Addr::LOCALHOST.into(),
    ];
    match &connector.loopbacks {
        Some(loopbacks) if is_loopback.contains(&addr.ip()) => loopbacks.open(addr).await,
        _ => TcpStream::connect(addr).await,
    }
}

/// A connection to an endpoint.
#[derive(Debug)]
#[non_exhaustive]
pub enum Stream {
    /// Without TLS.
    Plain(Io),
}

/// Connects to `target`.
///
/// # Errors
///
/// Its [`Fault`] is `Refused`, `ConnectTimeout`, or `Protocol` for a target with an identity: TLS is
/// not spoken yet, and a connection that must prove who is there is never opened without it.
pub async fn connect(target: &Target, connector: &Connector) -> Result<Stream, SendError> {
    let addr = target.addr;
    if target.identity.is_some() {
        let error = io::Error::from(io::ErrorKind::Unsupported);
        return Err(SendError::new(Fault::Protocol, addr, error));
    }
    match tokio::time::timeout(connector.timeout, open(addr, connector)).await {
        Ok(Ok(socket)) => {
            // Without it a message in two segments waits for the peer's delayed ACK.
            let _ = socket.set_nodelay(true);
            Ok(Stream::Plain(Io::new(socket, connector.meter.clone())))
        }
        Ok(Err(error)) => Err(SendError::new(Fault::Refused, addr, error)),
        Err(_) => {
            let error = io::Error::from(io::ErrorKind::TimedOut);
            Err(SendError::new(Fault::ConnectTimeout, addr, error))
        }
    }
}

impl Target {
    /// A plain connection to `addr`.
    pub fn plain(addr: SocketAddr, protocol: Protocol) -> Self {
        Self {
            addr,
            identity: None,
            protocol,
        }
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            meter: Arc::default(),
            loopbacks: None,
        }
    }
}

impl Stream {
    /// Leaves small writes to `flusher`.
    #[must_use]
    pub fn with_flusher(self, flusher: &Arc<Flusher>) -> Self {
        match self {
            Self::Plain(io) => Self::Plain(io.with_flusher(flusher)),
        }
    }

    /// The address of the peer.
    ///
    /// # Errors
    ///
    /// The socket is not connected any more.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Plain(io) => io.peer_addr(),
        }
    }

    /// Returns true if the socket has an error to report, as after an RST, and clears it.
    pub(crate) fn has_failed(&self) -> bool {
        match self {
            Self::Plain(io) => io.has_failed(),
        }
    }

    /// Waits until the peer has sent something; `false` if it has closed its side instead.
    ///
    /// # Errors
    ///
    /// The connection broke.
    pub async fn has_spoken(&self) -> io::Result<bool> {
        match self {
            Self::Plain(io) => io.has_spoken().await,
        }
    }
}

impl AsyncRead for Stream {
    #[inline]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, buf),
        }
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, bufs),
        }
    }

    #[inline]
    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
        }
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
        }
    }

    #[inline]
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_endpoint_that_must_prove_who_it_is_gets_no_plain_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut target = Target::plain(listener.local_addr().unwrap(), Protocol::Http1);
        let connector = Connector::default();
        assert!(connect(&target, &connector).await.is_ok());
        target.identity = Some("books.serviceaccount.identity".into());
        let error = connect(&target, &connector).await.unwrap_err();
        assert_eq!(Fault::of(&error), Some(Fault::Protocol));
        assert_eq!(connector.meter.read().opened, 1);
    }

    #[tokio::test]
    async fn a_program_on_the_other_loopback_is_found_and_remembered() {
        let Ok(listener) = tokio::net::TcpListener::bind("[::1]:0").await else {
            mesh_skips::skip("this machine has no IPv6");
            return;
        };
        let listening = listener.local_addr().unwrap();
        let called = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), listening.port());
        let target = Target::plain(called, Protocol::Http1);
        let error = connect(&target, &Connector::default()).await.unwrap_err();
        assert_eq!(Fault::of(&error), Some(Fault::Refused));

        let loopbacks = Arc::new(Loopbacks::default());
        let connector = Connector {
            loopbacks: Some(loopbacks.clone()),
            ..Connector::default()
        };
        let stream = connect(&target, &connector).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), listening);
        assert_eq!(loopbacks.order(called), [listening, called]);

        // A program that comes back on 127.0.0.1 is found there.
        drop(listener);
        let listener = tokio::net::TcpListener::bind(called).await.unwrap();
        let stream = connect(&target, &connector).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), called);
        assert_eq!(loopbacks.order(called), [called, listening]);
        drop(listener);
        let error = connect(&target, &connector).await.unwrap_err();
        assert_eq!(Fault::of(&error), Some(Fault::Refused));
    }
}
