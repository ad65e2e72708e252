use crate::{
    Connections, Draining, Protocol, RequestBody, Server, admit, connections::Admitted, detect,
};
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_TYPE},
};
use http_body::Body;
use http_body_util::{Either, Full};
use mesh_transport::{Flusher, Io, Meter};
use std::{error::Error, future::poll_fn, io, net::TcpListener, sync::Arc, time::Duration};
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// Pause after a failed `accept`, which fails when file descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Time for a connection above the limit to send a request and read that it is refused.
const TURN_AWAY: Duration = Duration::from_secs(1);

impl Server {
    /// Serves the connections of `listener` on the current runtime until the drain begins.
    ///
    /// Each connection is a task, which outlives this future until its requests are answered;
    /// [`Drain::finished`](crate::Drain::finished) waits for them. A connection that speaks
    /// neither HTTP/1 nor HTTP/2 is closed; one above [`Limits::connections`](crate::Limits) is
    /// answered with 503.
    ///
    /// # Errors
    ///
    /// The runtime cannot use the socket.
    pub async fn run<S, B>(
        self,
        listener: TcpListener,
        service: S,
        draining: Draining,
    ) -> io::Result<()>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        listener.set_nonblocking(true)?;
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let connections = Connections::new(self.limits().connections);
        let (meter, flusher) = (Arc::<Meter>::default(), Flusher::start());
        let serve = |socket: tokio::net::TcpStream| {
            let _ = socket.set_nodelay(true);
            let io = Io::new(socket, meter.clone()).with_flusher(&flusher);
            let (server, service, draining) = (self.clone(), service.clone(), draining.clone());
            match connections.admit() {
                Admitted::Served(permit) => {
                    let io = io.holding(permit);
                    tokio::spawn(server.meet(io, service, draining));
                }
                Admitted::Told(permit) => {
                    let text = connections.full().to_string();
                    let io = io.holding(permit);
                    let refused = server.turn_away(io, text, draining);
                    tokio::spawn(tokio::time::timeout(TURN_AWAY, refused));
                }
                Admitted::Closed => {}
            }
        };
        let mut begins = draining.clone();
        let mut started = std::pin::pin!(begins.started());
        loop {
            tokio::select! {
                biased;
                () = &mut started => break,
                accepted = listener.accept() => match accepted {
                    Ok((socket, _)) => serve(socket),
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
            }
        }
        // Connections that the kernel has already accepted are served, too.
        while let Some(Ok((socket, _))) = listener.accept().now_or_never() {
            serve(socket);
        }
        Ok(())
    }

    /// Serves one connection from its first byte to its last.
    async fn meet<S, B>(self, mut io: Io, service: S, mut draining: Draining)
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let protocol = tokio::select! {
            biased;
            protocol = detect::detect(&mut io, self.limits()) => protocol.ok().flatten(),
            () = draining.after_grace() => None,
        };
        if let Some(protocol @ (Protocol::Http1 | Protocol::Http2)) = protocol {
            self.serve(io, protocol, service, draining).await;
        }
    }

    /// Answers the requests of a connection for which there is no room.
    async fn turn_away(self, mut io: Io, text: String, draining: Draining) {
        let protocol = detect::detect(&mut io, self.limits()).await;
        if let Ok(Some(protocol @ (Protocol::Http1 | Protocol::Http2))) = protocol {
            let handle = move |_: Request<RequestBody>| {
                std::future::ready(explained(StatusCode::SERVICE_UNAVAILABLE, text.clone()))
            };
            self.serve_fn(io, protocol, handle, draining).await;
        }
    }

    /// Serves one HTTP connection until its end with a tower service.
    ///
    /// A request that is too large, or can be read in two ways, is refused before `service` sees
    /// it: see [`admit`]. An error of the service ends its HTTP/1 connection or HTTP/2 stream.
    pub fn serve<S, B>(
        &self,
        io: Io,
        protocol: Protocol,
        service: S,
        draining: Draining,
    ) -> impl Future<Output = ()> + use<S, B>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let limits = *self.limits();
        let handle = move |mut req: Request<RequestBody>| {
            // The clone is polled, and the same one is called.
            let mut service = service.clone();
            async move {
                if let Err(refusal) = admit::request(&mut req, &limits) {
                    let mut rsp = explained(refusal.status(), refusal.to_string());
                    if refusal.closes() && req.version() != Version::HTTP_2 {
                        let close = HeaderValue::from_static("close");
                        rsp.headers_mut().insert(CONNECTION, close);
                    }
                    return Ok(rsp.map(Either::Right));
                }
                poll_fn(|cx| service.poll_ready(cx)).await?;
                service.call(req).await.map(|rsp| rsp.map(Either::Left))
            }
        };
        self.serve_fn(io, protocol, handle, draining)
    }
}

/// A response that says in a line why there is no other.
fn explained(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut rsp = Response::new(Full::new((text + "\n").into()));
    *rsp.status_mut() = status;
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    rsp.headers_mut().insert(CONTENT_TYPE, kind);
    rsp
}
