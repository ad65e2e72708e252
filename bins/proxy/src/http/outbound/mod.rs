//! From the application to other services: which destination a request is for, and its stack.

mod again;
mod authority;
pub(crate) mod ejections;
pub(crate) mod shared_state;
pub(crate) mod stack;

use crate::{
    config::{Limits, Role},
    discover::{Discover, resolve},
    http::{
        admit::{self, refuse},
        cache::{Cache, Entry},
        deadline, extensions, headers,
        outbound::{
            authority::become_authority,
            shared_state::Joints,
            stack::{Stack, Workshop},
        },
        respond::{self, Asked, Broken, ResponseBody},
    },
    tcp::opaque,
};
use bytes::Bytes;
use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Either},
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONNECTION};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use mesh_core::{BoxError, Conn};
use mesh_discover::{Backend, Destination, Endpoint, Watch};
use std::{
    collections::HashMap,
    convert::Infallible,
    future::{pending, ready},
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

/// The outbound side of one worker: from the application to other services.
pub(crate) struct Outbound {
    pub(crate) cache: Cache<Stack>,
    pub(crate) workshop: Workshop,
    pub(crate) joints: Arc<Joints>,
    /// Who knows the mesh; without it every name is resolved by DNS.
    pub(crate) discover: Option<Arc<dyn Discover>>,
    /// The destination of the standalone form.
    pub(crate) standalone: Option<Watch<Destination>>,
    /// A request waits this long for the first word about its destination.
    pub(crate) first_answer: Duration,
    pub(crate) limits: Limits,
    /// This proxy's own addresses: sending there would go round in circles.
    pub(crate) own: Arc<[SocketAddr]>,
    /// What the mesh says of where connections go, before anything was read from them.
    pub(crate) hints: Mutex<HashMap<Box<str>, Watch<Destination>>>,
    /// Counts connections carried as bytes, so that endpoints take turns.
    pub(crate) turns: AtomicUsize,
}

/// The name under which the standalone destination is cached; no authority is empty.
const STANDALONE: &str = "";

impl Outbound {
    /// The line from `respond` to `find`; below it is [`stack::stack`].
    ///
    /// No `async fn`: each of those holds its arguments twice, and a future is moved.
    pub(crate) fn handle(
        self: &Arc<Self>,
        conn: &Conn,
        role: &Role,
        mut req: Request<Incoming>,
    ) -> impl Future<Output = Response<impl Body<Data = Bytes, Error = Broken> + Send + use<>>>
    + Send
    + use<> {
        let asked = Asked::of(&req);
        if req.method() == Method::CONNECT && *role == Role::Outbound {
            let outbound = self.clone();
            let answer = async move {
                match outbound.tunnel(req).await {
                    Ok(()) => Response::new(ResponseBody::Empty),
                    Err(error) => respond::error(&error, asked),
                }
            };
            return Either::Left(answer.boxed());
        }
        // Errors from below become 502, 503 and 504.
        match self.admit(conn, role, &mut req) {
            Ok(entry) => {
                Either::Right(
                    entry
                        .call(req, deadline::until)
                        .map(move |result| match result {
                            Ok(rsp) => answered(rsp, asked),
                            Err(error) => respond::error(&error, asked),
                        }),
                )
            }
            Err(error) => Either::Left(ready(respond::error(&error, asked)).boxed()),
        }
    }

    /// Where a request goes, without what may not go there.
    fn admit(
        self: &Arc<Self>,
        conn: &Conn,
        role: &Role,
        req: &mut Request<Incoming>,
    ) -> Result<Arc<Entry<Stack>>, BoxError> {
        admit::size(req, &self.limits)?;
        admit::coding(req)?;
        extensions::furnish(req);
        let outside = matches!(role, Role::Gateway(_) | Role::Forward);
        if headers::strip_request(req.headers_mut(), outside) {
            deadline::note(req);
        }
        if self.workshop.tap.subscriptions() > 0 {
            // Only a tap asks where a request came from.
            req.extensions_mut().insert(conn.clone());
        }
        self.find(conn, role, req)
    }

    /// Connects to what a CONNECT names; bytes are copied once the caller has its answer.
    async fn tunnel(&self, mut req: Request<Incoming>) -> Result<(), BoxError> {
        let authority = req
            .uri()
            .authority()
            .filter(|authority| authority.port().is_some());
        let authority =
            authority.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "CONNECT needs HOST:PORT"))?;
        let endpoint = self
            .dial(Some(&authority.as_str().to_ascii_lowercase()))
            .await?;
        let caller = hyper::upgrade::on(&mut req);
        tokio::spawn(async move {
            if let Ok(caller) = caller.await {
                let _ = opaque::copy(TokioIo::new(caller), endpoint).await;
            }
        });
        Ok(())
    }

    /// A number that grows by one.
    pub(crate) fn turn(&self) -> usize {
        self.turns.fetch_add(1, Relaxed)
    }

    /// The destination of a request, whose Host says where it is going from now on.
    fn find(
        self: &Arc<Self>,
        conn: &Conn,
        role: &Role,
        req: &mut Request<Incoming>,
    ) -> Result<Arc<Entry<Stack>>, BoxError> {
        if req.method() == Method::CONNECT {
            return Err(refuse(
                StatusCode::NOT_IMPLEMENTED,
                "CONNECT is for the outbound listener",
            ));
        }
        let named = admit::authority(req)?;
        let entry = match role {
            Role::Forward => self.cache.get(STANDALONE, |entry| {
                let watch = self.standalone.clone();
                tokio::spawn(self.clone().follow(STANDALONE.into(), watch, entry))
            }),
            Role::Upstream(authority) => {
                let host = HeaderValue::from_str(authority)?;
                let entry = self.entry(authority);
                become_authority(req, host)?;
                entry
            }
            Role::Gateway(authority) => self.entry(authority),
            Role::TransparentOutbound => {
                let original = conn
                    .original_dst
                    .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "no original destination"))?;
                let host = named.as_ref().map_or(Ok(""), |host| host.to_str())?;
                self.captured(&captured_authority(host, original), original)
            }
            Role::Outbound | Role::Inbound(_) | Role::TransparentInbound(_) => {
                let host = named.ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "no Host"))?;
                let authority = std::str::from_utf8(host.as_bytes())?;
                if authority.bytes().any(|b| b.is_ascii_uppercase()) {
                    self.entry(&authority.to_ascii_lowercase())
                } else {
                    self.entry(authority)
                }
            }
        };
        Ok(entry)
    }

    fn entry(self: &Arc<Self>, authority: &str) -> Arc<Entry<Stack>> {
        self.cache.get(authority, |entry| {
            let watch = self.ask(authority);
            tokio::spawn(self.clone().follow(authority.into(), watch, entry))
        })
    }

    /// The destination of a request that names `authority` and was going to `original`.
    ///
    /// Where a name leads that the mesh does not know, the application has already found out; and
    /// a Host alone must not lead anywhere else.
    fn captured(self: &Arc<Self>, authority: &str, original: SocketAddr) -> Arc<Entry<Stack>> {
        self.cache.get(&format!("{authority} {original}"), |entry| {
            let watch = self.ask(authority);
            tokio::spawn(self.clone().follow_captured(watch, original, entry))
        })
    }

    fn ask(&self, authority: &str) -> Option<Watch<Destination>> {
        let discover = self.discover.as_ref();
        discover.map(|discover| discover.destination(authority))
    }

    /// Makes the stack of a destination, and keeps it as the mesh, or DNS, says.
    async fn follow(
        self: Arc<Self>,
        authority: Arc<str>,
        watch: Option<Watch<Destination>>,
        entry: Arc<Entry<Stack>>,
    ) {
        let otherwise = || self.follow_dns(&authority, &entry).boxed();
        self.follow_or(watch, &entry, otherwise).await;
    }

    /// The same for a connection that was going to `original`, which is a name, too.
    async fn follow_captured(
        self: Arc<Self>,
        watch: Option<Watch<Destination>>,
        original: SocketAddr,
        entry: Arc<Entry<Stack>>,
    ) {
        let address: Arc<str> = original.to_string().into();
        let otherwise = || {
            let watch = self.ask(&address);
            let followed = self.clone().follow(address.clone(), watch, entry.clone());
            followed.then(|()| pending()).boxed()
        };
        self.follow_or(watch, &entry, otherwise).await;
    }

    /// Does what `watch` says, and `otherwise` while that is nothing.
    async fn follow_or<'a>(
        &self,
        watch: Option<Watch<Destination>>,
        entry: &Entry<Stack>,
        otherwise: impl Fn() -> BoxFuture<'a, Infallible>,
    ) {
        let Some(mut watch) = watch else {
            otherwise().await;
            return;
        };
        let mut current = tokio::time::timeout(self.first_answer, watch.ready())
            .await
            .ok()
            .flatten();
        loop {
            current = match current {
                Some(known) if known.is_known() => {
                    Some(self.follow_known(&known, &mut watch, entry).await)
                }
                _ => tokio::select! {
                    never = otherwise() => match never {},
                    known = becomes_known(&mut watch) => Some(known),
                },
            };
        }
    }

    /// Returns when the destination goes by another name, or leaves the mesh.
    async fn follow_known(
        &self,
        destination: &Arc<Destination>,
        watch: &mut Watch<Destination>,
        entry: &Entry<Stack>,
    ) -> Arc<Destination> {
        let name = destination.name().unwrap_or(destination.authority());
        let joint = self.joints.of(name);
        let (stack, mut handles) = stack::stack(&self.workshop, &joint, destination);
        entry.serve(stack);
        loop {
            match watch.changed().await {
                Some(next) if next.is_known() && next.name() == destination.name() => {
                    handles.apply(&next);
                }
                Some(next) => return next,
                // The last answer stays.
                None => pending().await,
            }
        }
    }

    /// Passes a name through that the mesh does not know.
    async fn follow_dns(&self, authority: &Arc<str>, entry: &Entry<Stack>) -> Infallible {
        let mut running: Option<stack::Handles> = None;
        loop {
            let again = match self.resolve(authority).await {
                Ok(endpoints) => {
                    let backend = Backend::new(authority.clone(), endpoints);
                    let destination = Destination::unknown(authority.clone()).with_backend(backend);
                    match &mut running {
                        Some(handles) => handles.apply(&destination),
                        None => {
                            let joint = self.joints.of(authority);
                            let (stack, handles) =
                                stack::stack(&self.workshop, &joint, &destination);
                            entry.serve(stack);
                            running = Some(handles);
                        }
                    }
                    resolve::AGAIN
                }
                Err(reason) => {
                    // Addresses once known stay in use.
                    if running.is_none() {
                        entry.fail(reason);
                    }
                    resolve::AFTER_FAILURE
                }
            };
            tokio::time::sleep(again).await;
        }
    }

    pub(crate) async fn resolve(&self, authority: &str) -> Result<Vec<Endpoint>, String> {
        let addrs = resolve::resolve(authority, self.limits.addresses)
            .await
            .map_err(|error| format!("cannot resolve {authority}: {error}"))?;
        if addrs.iter().any(|addr| self.own.contains(addr)) {
            return Err(format!("{authority} is this proxy itself"));
        }
        Ok(addrs.into_iter().map(Endpoint::new).collect())
    }
}

/// An endpoint's response as the caller gets it.
fn answered<B>(mut rsp: Response<B>, asked: Asked) -> Response<ResponseBody<B>> {
    headers::strip_hop_by_hop(rsp.headers_mut());
    if respond::strip(rsp.headers_mut()) && asked.http1 {
        let close = HeaderValue::from_static("close");
        rsp.headers_mut().insert(CONNECTION, close);
    }
    respond::stream(rsp, asked)
}

async fn becomes_known(watch: &mut Watch<Destination>) -> Arc<Destination> {
    loop {
        match watch.changed().await {
            Some(next) if next.is_known() => return next,
            Some(_) => {}
            None => pending().await,
        }
    }
}

/// The authority of a request for `host`, which may be empty, on a connection to `original`.
fn captured_authority(host: &str, original: SocketAddr) -> String {
    let has_port = |host: &str| {
        let port = host.rsplit_once(':');
        port.is_some_and(|(_, port)| !port.ends_with(']'))
    };
    match host {
        "" => original.to_string(),
        // Some clients leave out any port, not only 80.
        host if has_port(host) || original.port() == 80 => host.to_ascii_lowercase(),
        host => format!("{}:{}", host.to_ascii_lowercase(), original.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_captured_request_is_for_its_host_on_the_port_that_was_called() {
        for (host, original, authority) in [
            ("", "10.0.0.1:80", "10.0.0.1:80"),
            ("Books", "10.0.0.1:80", "books"),
            ("books", "10.0.0.1:7002", "books:7002"),
            ("books:7002", "10.0.0.1:7002", "books:7002"),
            ("[fd00::1]", "[fd00::1]:81", "[fd00::1]:81"),
        ] {
            let original = original.parse().unwrap();
            assert_eq!(captured_authority(host, original), authority);
        }
    }
}
