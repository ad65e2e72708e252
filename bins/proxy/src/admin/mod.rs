//! The admin port: health, metrics, shutdown and tap.

mod tap;

use crate::{
    config::Limits,
    discover::Discover,
    http::respond::{self, Broken, ResponseBody},
    registry::Registry,
    signals::ShutdownHandle,
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use linkerd2_proxy_api::tap::tap_server::TapServer;
use mesh_serve::{Draining, Protocol, RequestBody, Server, detect, drain};
use mesh_stats::prometheus::Exposition;
use mesh_tap::Tap;
use mesh_transport::{Io, Meter};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{net::TcpListener, sync::Semaphore, time::Instant};
use tower_service::Service as _;

/// The one method of the tap service.
const OBSERVE: &str = "/io.linkerd.proxy.tap.Tap/Observe";

/// The state that the admin port serves.
pub(crate) struct Admin {
    pub(crate) registry: Arc<Registry>,
    pub(crate) tap: Tap,
    pub(crate) discover: Option<Arc<dyn Discover>>,
    pub(crate) stop: ShutdownHandle,
    /// Set when the drain has begun.
    pub(crate) stopping: Arc<AtomicBool>,
    pub(crate) limits: Limits,
}

type Answer = Response<ResponseBody<UnsyncBoxBody<Bytes, Broken>>>;

/// Answers until the process ends: metrics can be read during a drain, too.
pub(crate) async fn serve(admin: Arc<Admin>, listener: std::net::TcpListener) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the admin port is not served");
            return;
        }
    };
    let meter = Arc::<Meter>::default();
    let (_never, draining) = drain::channel();
    let server = Server::new(&admin.limits.server()).with_refusals(respond::unreadable);
    let room = Arc::new(Semaphore::new(
        admin.limits.admin_connections.min(Semaphore::MAX_PERMITS),
    ));
    loop {
        // A scraper that finds no room waits in the kernel's queue.
        let Ok(place) = room.clone().acquire_owned().await else {
            return;
        };
        let Ok((socket, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = socket.set_nodelay(true);
        let io = Io::new(socket, meter.clone());
        let (admin, server, draining) = (admin.clone(), server.clone(), draining.clone());
        tokio::spawn(async move {
            connection(admin, server, io, peer, draining).await;
            drop(place);
        });
    }
}

async fn connection(
    admin: Arc<Admin>,
    server: Server,
    mut io: Io,
    peer: SocketAddr,
    draining: Draining,
) {
    match detect::detect(&mut io, server.limits()).await {
        Ok(Some(protocol @ (Protocol::Http1 | Protocol::Http2))) => {
            let handle = |req| admin.clone().handle(peer, req);
            server.serve_fn(io, protocol, handle, draining).await;
        }
        _ => tracing::debug!(%peer, "not HTTP"),
    }
}

impl Admin {
    async fn handle(self: Arc<Self>, peer: SocketAddr, req: Request<RequestBody>) -> Answer {
        match self.route(peer, req.method(), req.uri()) {
            Some(answer) => answer,
            None => self.observe(req).await,
        }
    }

    /// The answer, but for a tap.
    pub(crate) fn route(&self, peer: SocketAddr, method: &Method, uri: &Uri) -> Option<Answer> {
        let get = matches!(*method, Method::GET | Method::HEAD);
        Some(match uri.path() {
            OBSERVE if peer.ip().is_loopback() => return None,
            "/metrics" if get => {
                let text = self.registry.render(Instant::now());
                let mut rsp = answer(StatusCode::OK, text);
                let kind = http::HeaderValue::from_static(Exposition::CONTENT_TYPE);
                rsp.headers_mut().insert(CONTENT_TYPE, kind);
                rsp
            }
            "/live" if get => answer(StatusCode::OK, "live\n"),
            "/ready" if get => match self.is_ready() {
                true => answer(StatusCode::OK, "ready\n"),
                false => answer(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            },
            "/env.json" if get => environment(uri.query()),
            "/shutdown" if !peer.ip().is_loopback() => answer(
                StatusCode::FORBIDDEN,
                "Requests are only permitted from localhost.\n",
            ),
            "/shutdown" if *method == Method::POST => {
                self.stop.request();
                answer(StatusCode::OK, "shutdown\n")
            }
            "/metrics" | "/live" | "/ready" | "/env.json" | "/shutdown" => {
                answer(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
            }
            _ => answer(StatusCode::NOT_FOUND, "not found\n"),
        })
    }

    /// Only for this machine: events may tell what the metrics do not.
    async fn observe(&self, req: Request<RequestBody>) -> Answer {
        let mut server = TapServer::new(tap::Observer::new(self.tap.clone(), &self.limits));
        let rsp = match server.call(req).await {
            Ok(rsp) => rsp,
            Err(never) => match never {},
        };
        rsp.map(|body| {
            let body = body
                .map_err(|status| Broken::new(status.into()))
                .boxed_unsync();
            ResponseBody::Stream { body }
        })
    }

    /// The workers run before this port answers.
    fn is_ready(&self) -> bool {
        let known = self
            .discover
            .as_ref()
            .is_none_or(|discover| discover.is_ready());
        known && !self.stopping.load(Relaxed)
    }
}

/// The environment: all of it, or the variables that the query names.
fn environment(query: Option<&str>) -> Answer {
    let value = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
    let all: BTreeMap<String, Option<String>> = match query {
        Some(query) if query.contains('=') => {
            return answer(StatusCode::BAD_REQUEST, "the query is a list of names\n");
        }
        Some(query) if !query.is_empty() => {
            let names = query.split('&');
            names.map(|name| (name.to_owned(), value(name))).collect()
        }
        _ => std::env::vars_os()
            .map(|(name, value)| {
                let name = name.to_string_lossy().into_owned();
                (name, Some(value.to_string_lossy().into_owned()))
            })
            .collect(),
    };
    let text = serde_json::to_string(&all).unwrap_or_default();
    let mut rsp = answer(StatusCode::OK, text);
    let kind = http::HeaderValue::from_static("application/json");
    rsp.headers_mut().insert(CONTENT_TYPE, kind);
    rsp
}

fn answer(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    let body = Full::new(text.into())
        .map_err(|never| match never {})
        .boxed_unsync();
    let mut rsp = Response::new(ResponseBody::Stream { body });
    *rsp.status_mut() = status;
    let kind = http::HeaderValue::from_static("text/plain");
    rsp.headers_mut().insert(CONTENT_TYPE, kind);
    rsp
}
