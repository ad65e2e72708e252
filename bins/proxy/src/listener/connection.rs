//! A connection, from its first byte to its last.

use super::{
    full::TooManyConnections,
    role::Role,
    router::{Accepted, Requests, Router},
    server_first::First,
};
use crate::{
    http::respond::{self, RequestKind, ResponseBody},
    identity,
    tcp::carried::Carried,
    worker::Worker,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::Empty;
use mesh_core::{BoxError, Conn, Direction};
use mesh_serve::{Admitted, Draining, Permit, Protocol, detect};
use mesh_transport::Io;
use std::{future::ready, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::net::{TcpListener, TcpStream};

/// Time for a connection above the limit to say what it speaks, and to read the answer.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// Pause after a failed `accept`, which fails when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Worker {
    /// From the first byte of a connection to its last.
    async fn serve(
        self: Arc<Self>,
        accepted: Accepted,
        socket: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        mut draining: Draining,
    ) -> io::Result<()> {
        // In a box, which is gone while requests come and go.
        let met =
            Box::pin(self.detect_http(&accepted, socket, peer, permit, &mut draining)).await?;
        let Some((io, conn, protocol)) = met else {
            return Ok(());
        };
        let io = io.with_flusher(&self.flusher);
        match accepted.requests {
            Requests::Application(inbound) => {
                let handle = move |req| inbound.handle(&conn, req);
                self.server.serve_fn(io, protocol, handle, draining).await;
            }
            Requests::Services(policy) => {
                let outbound = self.outbound.clone();
                let ending = draining.clone();
                let handle = move |req| outbound.handle(&conn, &policy, req, &ending);
                self.server.serve_fn(io, protocol, handle, draining).await;
            }
        }
        Ok(())
    }

    /// Detects the version of HTTP; carries a connection without HTTP as bytes to its end.
    async fn detect_http(
        &self,
        accepted: &Accepted,
        socket: TcpStream,
        peer: SocketAddr,
        permit: Permit,
        draining: &mut Draining,
    ) -> io::Result<Option<(Io, Arc<Conn>, Protocol)>> {
        // Small answers must not wait for the caller's delayed ACK.
        socket.set_nodelay(true)?;
        let direction = accepted.requests.direction();
        let meter = match direction {
            Direction::Inbound => &self.outer[0],
            Direction::Outbound => &self.outer[1],
        };
        let conn = Arc::new(Conn {
            peer,
            local: socket.local_addr()?,
            original_dst: accepted.original,
            direction,
            identity: identity::of_caller(),
        });
        // It counts for as long as its socket: tunnels, too.
        let mut io = Io::new(socket, meter.clone()).holding(permit);
        if self.is_opaque(accepted).await {
            self.carry(&accepted.bytes, io, conn, None).await?;
            return Ok(None);
        }
        match self.first(accepted, &conn, &io, draining).await? {
            First::Client => {}
            First::Server(endpoint) => {
                let carried = Carried::new(&accepted.bytes, conn, None);
                carried.carry(io, *endpoint, &self.outbound.context).await?;
                return Ok(None);
            }
            First::Nobody => return Ok(None),
        }
        let protocol = tokio::select! {
            biased;
            protocol = detect::detect(&mut io, self.server.limits()) => protocol?,
            // Nothing has been asked on it yet, and nothing seems to be on its way.
            () = draining.after_grace() => None,
        };
        match protocol {
            None => Ok(None),
            Some(Protocol::Opaque) => {
                self.carry(&accepted.bytes, io, conn, None).await?;
                Ok(None)
            }
            Some(Protocol::Tls) => {
                let name = detect::server_name(&mut io, self.server.limits()).await?;
                let name = Some(name.unwrap_or_default());
                self.carry(&accepted.bytes, io, conn, name).await?;
                Ok(None)
            }
            Some(protocol) => Ok(Some((io, conn, protocol))),
        }
    }

    /// Answers a connection for which there is no room.
    async fn turn_away(
        self: Arc<Self>,
        socket: TcpStream,
        permit: Permit,
        draining: Draining,
    ) -> io::Result<()> {
        let mut io = Io::new(socket, Arc::default()).holding(permit);
        let told = async {
            if let Some(protocol @ (Protocol::Http1 | Protocol::Http2)) =
                detect::detect(&mut io, self.server.limits()).await?
            {
                let error = BoxError::from(TooManyConnections(self.connections.full()));
                let handle = |req: http::Request<_>| {
                    let answer = respond::error(&error, RequestKind::of(&req));
                    ready(answer as http::Response<ResponseBody<Empty<Bytes>>>)
                };
                self.server.serve_fn(io, protocol, handle, draining).await;
            }
            Ok(())
        };
        tokio::time::timeout(TURN_AWAY, told)
            .await
            .unwrap_or(Ok(()))
    }
}

/// Runs what serves a connection, and logs its error.
///
/// No `async fn`: that would hold `serving` twice, once as its argument.
fn until_the_end(
    serving: impl Future<Output = io::Result<()>>,
    peer: SocketAddr,
) -> impl Future<Output = ()> {
    serving.map(move |served| {
        if let Err(error) = served {
            tracing::debug!(%error, %peer, "connection ended");
        }
    })
}

/// Accepts connections until the drain.
pub(crate) async fn accept(
    worker: Arc<Worker>,
    role: Role,
    listener: TcpListener,
    draining: Draining,
) {
    let own = worker.outbound.own.clone();
    let router = Router::new(&role, worker.inbound.clone(), own);
    let serve = |(socket, peer), draining: &Draining| {
        let (worker, draining) = (worker.clone(), draining.clone());
        match worker.connections.admit() {
            Admitted::Served(permit) => {
                let Some(accepted) = router.route(&socket) else {
                    return;
                };
                let serving = worker.serve(accepted, socket, peer, permit, draining);
                tokio::spawn(until_the_end(serving, peer));
            }
            Admitted::Told(permit) => {
                let turning = worker.turn_away(socket, permit, draining);
                tokio::spawn(until_the_end(turning, peer));
            }
            Admitted::Closed => {}
        }
    };
    let mut started = std::pin::pin!({
        let mut draining = draining.clone();
        async move { draining.started().await }
    });
    loop {
        tokio::select! {
            biased;
            () = &mut started => break,
            accepted = listener.accept() => match accepted {
                Ok(accepted) => serve(accepted, &draining),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Whoever the kernel has already let in is served, too.
    while let Some(Ok(accepted)) = listener.accept().now_or_never() {
        serve(accepted, &draining);
    }
}
