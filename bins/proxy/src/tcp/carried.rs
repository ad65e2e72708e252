//! A connection that is carried as bytes, as metrics and taps show it. TLS of the application is one
//! of these; it goes by the name of the server that it asks for.

use super::{
    dial::{self, Dialled},
    opaque,
};
use crate::{http::outbound::stack::StackContext, identity, listener::role::BytesTo};
use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use mesh_core::Conn;
use mesh_pool::Stream;
use mesh_transport::Meter;
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, ReadHalf};
use tower::{Layer as _, ServiceExt as _, service_fn};

/// A connection of a client that is carried as bytes.
pub(crate) struct Carried {
    pub(crate) conn: Arc<Conn>,
    /// The destination; empty for the standalone one.
    pub(crate) authority: Box<str>,
    /// The server that the client asks for in TLS, empty if it does not say; `None` without TLS.
    pub(crate) server_name: Option<Box<str>>,
}

/// Bytes per read, where a tap counts them.
const BUFFER: usize = 16 * 1024;

impl Carried {
    pub(crate) fn new(bytes: &BytesTo, conn: Arc<Conn>, server_name: Option<Box<str>>) -> Self {
        let authority = match bytes {
            BytesTo::Application(addr) | BytesTo::Original(addr) => addr.to_string().into(),
            BytesTo::Authority(authority) => (&**authority).into(),
            BytesTo::Standalone | BytesTo::Unknown => Box::default(),
        };
        Self {
            conn,
            authority,
            server_name,
        }
    }

    /// Copies both ways until both ends have said all they had to say.
    pub(crate) async fn carry<C>(
        self,
        caller: C,
        endpoint: Dialled,
        context: &StackContext,
    ) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(name) = &self.server_name else {
            return self.copy(caller, endpoint, context).await;
        };
        let meter = context.registry.tls(self.conn.direction, name);
        meter.open();
        let inner = caller;
        let caller = Metered { inner, meter };
        self.copy(caller, endpoint, context).await
    }

    async fn copy<C>(&self, caller: C, to: Dialled, context: &StackContext) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        if context.tap.subscriptions() == 0 {
            return opaque::copy(caller, to.stream).await;
        }
        self.carry_tapped(caller, to, context).await
    }

    /// The same, as an exchange that a tap shows: `CONNECT` to the name, and the endpoint's bytes
    /// as the response.
    async fn carry_tapped<C>(
        &self,
        caller: C,
        to: Dialled,
        context: &StackContext,
    ) -> io::Result<()>
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let layer = self.layer(&to, context)?;
        let name = self.server_name.as_ref().filter(|name| !name.is_empty());
        let req = dial::request(name.unwrap_or(&self.authority), &self.conn);
        let (mut caller_read, mut caller_write) = tokio::io::split(caller);
        let (endpoint_read, mut endpoint_write) = tokio::io::split(to.stream);
        let mut body = Some(Download(endpoint_read, BytesMut::new()));
        let tapped = layer.layer(service_fn(|_: Request<()>| {
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

    fn layer(&self, to: &Dialled, context: &StackContext) -> io::Result<mesh_tap::TapLayer> {
        let addr = to.stream.peer_addr()?;
        let status = match self.server_name {
            Some(_) => identity::status_of_carried_tls(),
            None => identity::status(addr),
        };
        let tls = identity::tap_label(status);
        let labels: Arc<[_]> = to.labels.iter().cloned().chain([tls]).collect();
        let layer = context.tap.layer().direction(self.conn.direction);
        Ok(layer.endpoint(addr, labels))
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
struct Metered<C> {
    inner: C,
    meter: Arc<Meter>,
}

impl<C> Drop for Metered<C> {
    fn drop(&mut self) {
        self.meter.close();
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Metered<C> {
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

impl<C: AsyncWrite + Unpin> AsyncWrite for Metered<C> {
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
