//! Connections to the endpoints of a destination, chosen by the rules and balancers that choose for
//! requests: a connection is a request whose response is the open socket.

use crate::{
    http::outbound::{
        Outbound, STANDALONE, follow::Followed, shared_state::SharedState, stack::StackContext,
    },
    identity,
    registry::Statuses,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::BoxFuture};
use http::{Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use mesh_balance::{Balance, BalanceBody};
use mesh_core::{Attempt, BoxError, Conn, Direction, Fault};
use mesh_discover::{
    Destination, Endpoint,
    follow::{Connect, Follower, Rules},
};
use mesh_pool::{Connector, Protocol, SendError, Stream, connect};
use mesh_tap::Tap;
use std::{
    convert::Infallible,
    future::ready,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

/// Endpoints of a backend that are tried for one connection.
const MAX_ATTEMPTS: usize = 3;

/// The stack of one destination for connections.
pub(crate) type Dial = Rules<ToBackend>;

/// A connection to an endpoint.
pub(crate) struct Dialled {
    pub(crate) stream: Stream,
    /// The labels of the endpoint, as discovery gave them.
    pub(crate) labels: Labels,
    /// The connection is in flight at the endpoint until this is dropped.
    _in_flight: Option<BalanceBody<Opened>>,
}

type Labels = Arc<[(String, String)]>;

/// The request that stands for a connection to `authority`: a `CONNECT` to it.
pub(super) fn request(authority: &str, conn: &Conn) -> Request<()> {
    let mut req = Request::new(());
    *req.method_mut() = Method::CONNECT;
    if let Ok(uri) = authority.parse() {
        *req.uri_mut() = uri;
    }
    req.extensions_mut().insert(conn.clone());
    req
}

impl Dialled {
    /// A connection that no balancer chose.
    pub(super) fn alone(stream: Stream) -> Self {
        Self {
            stream,
            labels: Arc::default(),
            _in_flight: None,
        }
    }
}

impl Outbound {
    /// Connects to an endpoint of `authority`, or of the standalone destination.
    ///
    /// # Errors
    ///
    /// The destination is unknown, has no endpoint, or those that were tried cannot be reached.
    pub(crate) async fn dial(
        self: &Arc<Self>,
        authority: Option<&str>,
        conn: &Conn,
    ) -> Result<Dialled, BoxError> {
        let name = authority.unwrap_or(STANDALONE);
        let entry = self.dials.get(name, |entry| {
            let watch = match authority {
                Some(authority) => self.ask(authority),
                None => self.standalone.clone(),
            };
            tokio::spawn(self.clone().follow(name.into(), watch, entry))
        });
        let rsp = entry.call(request(name, conn), |_| None).await?;
        let mut opened = rsp.into_body();
        // The first frame tells the balancer how long connecting took.
        let _ = opened.frame().now_or_never();
        let Opened { stream, labels, .. } = opened.get_mut();
        Ok(Dialled {
            stream: stream.take().ok_or(Fault::NoEndpoint)?,
            labels: labels.clone(),
            _in_flight: Some(opened),
        })
    }
}

/// Makes the services of a destination's backends and endpoints.
pub(crate) struct Parts {
    context: StackContext,
    /// Kept, so that the stacks of other workers find it.
    _shared: Arc<SharedState>,
}

impl Followed for Dial {
    type Handles = Follower<Parts>;

    fn build(
        context: &StackContext,
        shared: &Arc<SharedState>,
        destination: &Destination,
    ) -> (Self, Follower<Parts>) {
        let parts = Parts {
            context: context.clone(),
            _shared: shared.clone(),
        };
        Follower::new(parts, &shared.counter, Some(destination))
    }

    fn apply(handles: &mut Follower<Parts>, destination: &Destination) {
        handles.apply(destination);
    }
}

impl Connect for Parts {
    type Service = ToEndpoint;
    type Backend = ToBackend;
    /// The metrics show a backend's endpoints for as long as there is this.
    type Guard = Option<Arc<Statuses>>;

    fn endpoint(&mut self, backend: &Arc<str>, endpoint: &Endpoint) -> (ToEndpoint, Self::Guard) {
        let Endpoint { addr, labels, .. } = endpoint;
        let registry = &self.context.registry;
        let connector = Connector {
            meter: registry.bytes(backend, *addr, labels.iter()),
            ..self.context.connections.connector.clone()
        };
        let labels = labels.iter().map(|(k, v)| (k.clone(), v.clone()));
        let service = ToEndpoint {
            addr: *addr,
            connector: Arc::new(connector),
            labels: labels.collect(),
            tap: self.context.tap.clone(),
        };
        (service, None)
    }

    fn backend(
        &mut self,
        name: Option<&Arc<str>>,
    ) -> (Balance<ToEndpoint>, ToBackend, Self::Guard) {
        let context = &self.context;
        let observer = name.map(|name| context.ejections.of(name));
        let balance = Balance::with(context.balance().with_observer(observer));
        let asked: Balance<ToEndpoint> = balance.clone();
        let statuses: Arc<Statuses> = Arc::new(move || asked.endpoints());
        if let Some(name) = name {
            context.registry.leaf(context.worker, name, &statuses);
        }
        (balance.clone(), ToBackend(balance), Some(statuses))
    }

    fn is_available(backend: &ToBackend) -> bool {
        backend.0.is_available()
    }
}

/// Opens connections to the endpoints of a backend. One that cannot be reached gives way to another.
#[derive(Clone)]
pub(crate) struct ToBackend(Balance<ToEndpoint>);

impl Service<Request<()>> for ToBackend {
    type Response = Response<BalanceBody<Opened>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut req: Request<()>) -> Self::Future {
        let mut balance = self.0.clone();
        let attempt = Attempt::first();
        // The balancer avoids what was tried.
        req.extensions_mut().insert(attempt.clone());
        let attempts = async move {
            for _ in 1..MAX_ATTEMPTS {
                let answer = balance.call(req.clone()).await;
                let unreachable = answer.as_ref().err().and_then(|error| Fault::of(&**error));
                let is_unreachable =
                    matches!(unreachable, Some(Fault::Refused | Fault::ConnectTimeout));
                let tried = attempt.tried();
                let mut others = balance.endpoints().into_iter();
                if !is_unreachable || !others.any(|other| !tried.contains(&other.addr)) {
                    return answer;
                }
            }
            balance.call(req).await
        };
        attempts.boxed()
    }
}

/// Opens connections to one endpoint.
#[derive(Clone)]
pub(crate) struct ToEndpoint {
    addr: SocketAddr,
    connector: Arc<Connector>,
    labels: Labels,
    tap: Tap,
}

impl Service<Request<()>> for ToEndpoint {
    type Response = Response<Opened>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Opened>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<()>) -> Self::Future {
        let endpoint = self.clone();
        let opening = async move {
            match open(endpoint.addr, endpoint.connector.clone()).await {
                Ok(stream) => Ok(Response::new(Opened {
                    stream: Some(stream),
                    labels: endpoint.labels,
                    is_known: false,
                })),
                Err(error) => Err(endpoint.show(req, error.into()).await),
            }
        };
        opening.boxed()
    }
}

async fn open(addr: SocketAddr, connector: Arc<Connector>) -> Result<Stream, SendError> {
    connect(&identity::target(addr, Protocol::Opaque), &connector).await
}

impl ToEndpoint {
    /// Shows a tap that there was no connection. Those that are opened are shown by whoever carries
    /// their bytes.
    fn show(&self, req: Request<()>, error: BoxError) -> BoxFuture<'static, BoxError> {
        if self.tap.subscriptions() == 0 {
            return ready(error).boxed();
        }
        let mut error = Some(error);
        let failing = service_fn(move |_: Request<()>| {
            let failed = error.take().unwrap_or_else(|| Fault::Refused.into());
            ready(Err::<Response<Opened>, BoxError>(failed))
        });
        let tls = identity::tap_label(identity::status(self.addr));
        let labels: Labels = self.labels.iter().cloned().chain([tls]).collect();
        let layer = self.tap.layer().direction(Direction::Outbound);
        let shown = layer.endpoint(self.addr, labels).layer(failing);
        let failed = shown.oneshot(req);
        failed
            .map(|shown| shown.err().unwrap_or_else(|| Fault::Refused.into()))
            .boxed()
    }
}

/// An open connection as the body of a response, which lasts as long as the connection.
pub(crate) struct Opened {
    stream: Option<Stream>,
    labels: Labels,
    /// The balancer knows that it is open.
    is_known: bool,
}

impl Body for Opened {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::replace(&mut self.is_known, true) {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}
