//! `CONNECT`: a connection inside of another.

use super::{carried::Carried, dial::Dialled};
use crate::{
    http::outbound::Outbound,
    listener::role::{Naming, OutboundPolicy},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use mesh_core::{BoxError, Conn};
use mesh_discover::Protocol as Declared;
use mesh_serve::{Draining, Protocol, Refusal, RequestBody, detect, reclaim};
use mesh_transport::Io;
use std::{io, sync::Arc};

/// A tunnel to an endpoint.
struct Tunnel {
    outbound: Arc<Outbound>,
    conn: Arc<Conn>,
    authority: Arc<str>,
    endpoint: Dialled,
    draining: Draining,
}

impl Outbound {
    /// Connects to what a CONNECT names. Once the client has its answer, HTTP to a destination of the
    /// mesh is served as on any other connection; the rest is copied as bytes.
    ///
    /// # Errors
    ///
    /// There is no connection: the client gets an answer that says so.
    pub(crate) async fn tunnel(
        self: &Arc<Self>,
        conn: Conn,
        mut req: Request<RequestBody>,
        draining: Draining,
    ) -> Result<(), BoxError> {
        let authority = req.uri().authority();
        let authority = authority
            .filter(|authority| authority.port().is_some())
            .ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "CONNECT needs HOST:PORT"))?;
        let authority: Arc<str> = authority.as_str().to_ascii_lowercase().into();
        let endpoint = self.dial(Some(&authority), &conn).await?;
        let known = self.declared(&authority).await;
        let may_be_http = known.is_some_and(|known| known != Declared::Opaque);
        let caller = hyper::upgrade::on(&mut req);
        let tunnel = Tunnel {
            outbound: self.clone(),
            conn: Arc::new(conn),
            authority,
            endpoint,
            draining,
        };
        tokio::spawn(async move {
            let Ok(caller) = caller.await else { return };
            let ended = match reclaim(caller) {
                Ok(caller) if may_be_http => tunnel.detect(caller).await,
                Ok(caller) => tunnel.carry(caller, None).await,
                // In a stream of HTTP/2, which is no socket.
                Err(caller) => tunnel.carry(TokioIo::new(caller), None).await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "tunnel ended");
            }
        });
        Ok(())
    }
}

impl Tunnel {
    /// Serves what the client speaks, unless the server is the first to speak.
    async fn detect(mut self, mut caller: Io) -> io::Result<()> {
        let is_server_first = tokio::select! {
            biased;
            heard = caller.has_spoken() => {
                heard?;
                false
            }
            Ok(true) = self.endpoint.stream.has_spoken() => true,
            () = self.draining.after_grace() => return Ok(()),
        };
        if is_server_first {
            return self.carry(caller, None).await;
        }
        let limits = self.outbound.server.limits();
        match detect::detect(&mut caller, limits).await? {
            None => Ok(()),
            Some(Protocol::Opaque) => self.carry(caller, None).await,
            Some(Protocol::Tls) => {
                let name = detect::server_name(&mut caller, limits).await?;
                self.carry(caller, Some(name.unwrap_or_default())).await
            }
            Some(protocol) => {
                self.serve(caller, protocol).await;
                Ok(())
            }
        }
    }

    /// Serves requests. Each has a connection of the pool; the tunnel's own is of no use to them.
    ///
    /// In a box, as a request is served by the same code as the CONNECT that led here.
    fn serve(self, caller: Io, protocol: Protocol) -> BoxFuture<'static, ()> {
        let Self {
            outbound,
            conn,
            authority,
            draining,
            ..
        } = self;
        let policy = OutboundPolicy {
            naming: Naming::Fixed(authority),
            tunnels: false,
            is_outside: false,
        };
        let server = outbound.server.clone();
        let ending = draining.clone();
        let handle = move |req| outbound.handle(&conn, &policy, req, &ending);
        server.serve_fn(caller, protocol, handle, draining).boxed()
    }

    async fn carry<C>(self, caller: C, server_name: Option<Box<str>>) -> io::Result<()>
    where
        C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    {
        let carried = Carried {
            conn: self.conn,
            authority: (*self.authority).into(),
            server_name,
        };
        let context = &self.outbound.context;
        carried.carry(caller, self.endpoint, context).await
    }
}
