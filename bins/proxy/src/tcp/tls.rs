//! TLS of the application: carried as it is, shown by the name of the server it asks for.

use crate::{http::outbound::stack::StackContext, identity, tcp::opaque};
use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use mesh_core::Conn;
use mesh_pool::Stream;
use mesh_transport::{Io, Meter};
use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf};
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A TLS connection of a client.
pub(crate) struct Tls {
    /// The server that it asks for; empty if it does not say.
    pub(crate) name: Box<str>,
    pub(crate) conn: Arc<Conn>,
}

/// Bytes per read, where a tap counts them.
const BUFFER: usize = 16 * 1024;

impl Tls {
    /// Copies both ways until both ends have said all they had to say.
    pub(crate) async fn carry(
        self,
        caller: Io,
        endpoint: Stream,
        context: &StackContext,
    ) -> io::Result<()> {
        let meter = context.registry.tls(self.conn.direction, &self.name);
        meter.open();
        let caller = Metered {
            inner: caller,
            meter,
        };
        if context.tap.subscriptions() == 0 {
            return opaque::copy(caller, endpoint).await;
        }
        self.shown(caller, endpoint, context).await
    }

    /// The same, as an exchange that a tap shows: `CONNECT` to the name, and the endpoint's bytes
    /// as the response.
    async fn shown(
        self,
        caller: Metered,
        endpoint: Stream,
        context: &StackContext,
    ) -> io::Result<()> {
        let addr = endpoint.peer_addr()?;
        let mut req = Request::new(());
        *req.method_mut() = Method::CONNECT;
        if let Ok(uri) = self.name.parse() {
            *req.uri_mut() = uri;
        }
        req.extensions_mut().insert((*self.conn).clone());
        let (mut caller_read, mut caller_write) = tokio::io::split(caller);
        let (endpoint_read, mut endpoint_write) = tokio::io::split(endpoint);
        let mut body = Some(Download(endpoint_read, BytesMut::new()));
        let tapped = self
            .layer(addr, context)
            .layer(service_fn(|_: Request<()>| {
                let body = body.take().expect("called once");
                std::future::ready(Ok::<_, io::Error>(Response::new(body)))
            }));
        let rsp = tapped.oneshot(req).await?;
        let up = async {
            tokio::io::copy(&mut caller_read, &mut endpoint_write).await?;
            endpoint_write.shutdown().await
        };
        let down = async {
            let mut body = rsp.into_body();
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    caller_write.write_all(&data).await?;
                }
            }
            caller_write.shutdown().await
        };
        tokio::try_join!(up, down)?;
        Ok(())
    }

    fn layer(&self, addr: SocketAddr, context: &StackContext) -> mesh_tap::TapLayer {
        let tls: Arc<[_]> = [identity::tap_label(identity::status_of_carried_tls())].into();
        let layer = context.tap.layer().direction(self.conn.direction);
        layer.endpoint(addr, tls)
    }
}

/// The bytes from an endpoint, as a body.
struct Download(ReadHalf<Stream>, BytesMut);

impl Body for Download {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self(socket, buf) = &mut *self;
        buf.resize(BUFFER, 0);
        let mut read = ReadBuf::new(buf);
        ready!(Pin::new(socket).poll_read(cx, &mut read))?;
        let read = read.filled().len();
        Poll::Ready((read > 0).then(|| Ok(Frame::data(buf.split_to(read).freeze()))))
    }
}

/// The caller's end, counted under the name.
struct Metered {
    inner: Io,
    meter: Arc<Meter>,
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.meter.close();
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        self.meter.add_read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, bytes))?;
        self.meter.add_written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
