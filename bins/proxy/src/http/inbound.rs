use crate::{
    config::Limits,
    discover::Discover,
    http::{
        cache::{Cache, Entry},
        deadline, extensions,
        headers::{self, CANONICAL},
        max_forwards,
        respond::{self, Broken, CallProtocol, RequestKind, ResponseBody},
    },
    identity,
    registry::{Held, Registry},
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::Either};
use http::{Request, Response};
use http_body::Body;
use mesh_core::{BoxError, Conn, Direction};
use mesh_discover::{Destination, Watch};
use mesh_pool::{Pool, Protocol, Settings};
use mesh_profile::{Profile, ProfileHandle, ProfileLayer, Profiled};
use mesh_serve::{RequestBody, admit};
use mesh_stats::{Counted, Stats};
use mesh_tap::{Tap, Tapped};
use mesh_timeout::{
    AcceptDeadline, AcceptDeadlineLayer, PropagateDeadline, PropagateDeadlineLayer,
};
use std::{
    future::{pending, ready},
    net::SocketAddr,
    sync::Arc,
};
use tower::ServiceBuilder;

/// The inbound side of one worker and listener: from the mesh to the local application.
pub(crate) struct Inbound {
    cache: Cache<Stack>,
    app: App,
    context: StackContext,
}

/// Inputs for building the inbound side.
#[derive(Clone)]
pub(crate) struct StackContext {
    pub(crate) worker: usize,
    pub(crate) registry: Arc<Registry>,
    pub(crate) tap: Tap,
    /// The workload's own labels, for tap.
    pub(crate) labels: Arc<[(String, String)]>,
    pub(crate) connections: Arc<Settings>,
    pub(crate) discover: Option<Arc<dyn Discover>>,
    pub(crate) limits: Limits,
    /// Limits of requests.
    pub(crate) admitted: mesh_serve::Limits,
}

/// The connections to the application, shared by all names it is called by.
type App = PropagateDeadline<Tapped<Counted<Pool<RequestBody>>>>;

type Stack = AcceptDeadline<Profiled<Counted<App>>>;

impl Inbound {
    /// The way to the application at `addr`.
    pub(crate) fn new(context: StackContext, addr: SocketAddr) -> Self {
        let held =
            context
                .registry
                .endpoint(context.worker, Direction::Inbound, None, None, addr, []);
        let stats = held.stats.clone();
        let target = identity::target(addr, Protocol::Http1);
        let app = ServiceBuilder::new()
            // How long will the caller wait from now on?
            .layer(PropagateDeadlineLayer::new())
            // Shows the request, whose it is and what came of it.
            .layer(
                context
                    .tap
                    .layer()
                    .direction(Direction::Inbound)
                    .source_labels([identity::tap_label(identity::status(addr))])
                    .endpoint(addr, context.labels.clone()),
            )
            // What the application got and answered.
            .layer(stats.endpoint())
            // The connection, HTTP/1 or 2.
            .service(Pool::new(target, context.connections.clone()).holding(held));
        Self {
            cache: Cache::new(context.limits.destinations, context.limits.destination_idle),
            app,
            context,
        }
    }

    /// Routes are for counting here; retries and timeouts are the caller's business.
    fn stack(&self, profile: ProfileHandle, stats: &Stats) -> Stack {
        ServiceBuilder::new()
            // Does anybody still wait for it? If not, the application need not begin, and does not
            // answer for it. To end it in time is the caller's business, too.
            .layer(AcceptDeadlineLayer::again())
            // Which route is this?
            .layer(ProfileLayer::watch(profile))
            // What the caller's proxy sees of each attempt.
            .layer(stats.effective())
            // The application: see `new`.
            .service(self.app.clone())
    }

    /// The line from `respond` to `find`.
    pub(crate) fn handle(
        self: &Arc<Self>,
        conn: &Conn,
        mut req: Request<RequestBody>,
    ) -> impl Future<Output = Response<impl Body<Data = Bytes, Error = Broken> + Send + use<>>>
    + Send
    + use<> {
        let asked = RequestKind::of(&req);
        match self.admit(conn, &mut req) {
            Ok(entry) => {
                if let Some(rsp) = max_forwards::last_hop(&mut req) {
                    return Either::Right(ready(rsp).boxed());
                }
                Either::Left(
                    entry
                        .call(req, deadline::until)
                        .map(move |result| match result {
                            Ok(rsp) => answered(rsp, asked),
                            Err(error) => respond::error(&error, asked),
                        }),
                )
            }
            Err(error) => Either::Right(ready(respond::error(&error, asked)).boxed()),
        }
    }

    /// Checks a request, removes the headers that end here, and finds its destination.
    fn admit(
        self: &Arc<Self>,
        conn: &Conn,
        req: &mut Request<RequestBody>,
    ) -> Result<Arc<Entry<Stack>>, BoxError> {
        admit::size(req, &self.context.admitted)?;
        admit::coding(req)?;
        admit::length(req)?;
        let named = admit::authority(req)?;
        extensions::insert_reused(req);
        let canonical = req.headers_mut().remove(CANONICAL);
        let version = req.version();
        if headers::strip_request(req.headers_mut(), version, false) {
            deadline::note(req);
        }
        if self.context.tap.subscriptions() > 0 {
            // Only a tap asks where a request came from.
            req.extensions_mut().insert(conn.clone());
        }
        // The apex that the caller's proxy found, else the name the request itself says.
        let name = canonical.as_ref().or(named.as_ref());
        let name = name.map_or("", |name| name.to_str().unwrap_or_default());
        Ok(if name.bytes().any(|b| b.is_ascii_uppercase()) {
            self.entry(&name.to_ascii_lowercase())
        } else {
            self.entry(name)
        })
    }

    fn entry(self: &Arc<Self>, name: &str) -> Arc<Entry<Stack>> {
        self.cache.get(name, |entry| {
            let discover = self.context.discover.as_ref().filter(|_| !name.is_empty());
            let watch = discover.map(|discover| discover.destination(name));
            tokio::spawn(self.clone().follow(watch, entry))
        })
    }

    /// Makes the stack for one name of the application, and keeps its profile up to date.
    async fn follow(self: Arc<Self>, watch: Option<Watch<Destination>>, entry: Arc<Entry<Stack>>) {
        let profile = ProfileHandle::new(Profile::default());
        // A name that the mesh does not know has no series: anybody could invent one. Requests that
        // come before the mesh knows theirs, as a replica's first may, are counted once it does.
        let mut early = Stats::new();
        let Some(mut watch) = watch else {
            entry.serve(self.stack(profile, &early));
            return;
        };
        let first = tokio::time::timeout(self.context.limits.fail_fast, watch.ready()).await;
        let mut current = first.ok().flatten();
        loop {
            let name = current.as_ref().and_then(|known| known.name().cloned());
            let held: Option<Held> = name.as_deref().map(|name| {
                let (worker, inbound) = (self.context.worker, Direction::Inbound);
                let early = std::mem::take(&mut early);
                self.context.registry.adopt(worker, inbound, name, early)
            });
            let stats = match &held {
                Some(held) => held.stats.clone(),
                None => early.clone(),
            };
            if let Some(known) = &current {
                profile.set(known.profile().for_worker());
            }
            entry.serve(self.stack(profile.clone(), &stats));
            current = loop {
                match watch.changed().await {
                    Some(next) if next.name() == name.as_ref() => {
                        profile.set(next.profile().for_worker());
                    }
                    Some(next) => break Some(next),
                    None => pending().await,
                }
            };
        }
    }
}

/// The application's response as the caller gets it.
fn answered<B>(mut rsp: Response<B>, asked: RequestKind) -> Response<ResponseBody<B>> {
    headers::strip_hop_by_hop(rsp.headers_mut());
    // Only a proxy may say what a proxy says.
    headers::strip_application(rsp.headers_mut());
    match asked.protocol {
        CallProtocol::Grpc => respond::stream(rsp, asked),
        _ => rsp.map(|body| ResponseBody::Stream { body }),
    }
}
