use super::socket::Socket;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use mesh_transport::Io;

/// Takes back the socket of a connection that was upgraded while a [`Server`](crate::Server) served
/// it. Bytes that were read too early are read again.
///
/// # Errors
///
/// It is a stream of HTTP/2, or another server served it: it is returned as it was.
pub fn reclaim(upgraded: Upgraded) -> Result<Io, Upgraded> {
    let parts = upgraded.downcast::<TokioIo<Socket>>()?;
    let mut io = parts.io.into_inner().into_io();
    io.unread(parts.read_buf);
    Ok(io)
}
