//! From the application to other services: which destination a request is for, and its stack.

mod again;
mod authority;
pub(crate) mod ejections;
mod faults;
pub(crate) mod follow;
pub(crate) mod shared_state;
pub(crate) mod stack;

use crate::{
    config::Limits,
    discover::Discover,
    http::{
        cache::{Cache, Entry},
        deadline, extensions, headers, max_forwards,
        outbound::{
            authority::become_authority,
            shared_state::SharedStates,
            stack::{Stack, StackContext},
        },
        respond::{self, Broken, RequestKind, ResponseBody},
    },
    listener::role::{Naming, OutboundPolicy},
    tcp::dial::Dial,
};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::Either};
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONNECTION};
use http_body::Body;
use mesh_core::{BoxError, Conn, Fault};
use mesh_discover::{Destination, Watch};
use mesh_fault::InjectedReset;
use mesh_serve::{Draining, Refusal, RequestBody, Server, admit};
use std::{
    collections::HashMap,
    future::ready,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

/// The outbound side of one worker: from the application to other services.
pub(crate) struct Outbound {
    pub(crate) cache: Cache<Stack>,
    /// The same destinations, of connections that are carried as bytes.
    pub(crate) dials: Cache<Dial>,
    pub(crate) context: StackContext,
    pub(crate) shared_states: Arc<SharedStates>,
    /// The source of destinations; without it every name is resolved by DNS.
    pub(crate) discover: Option<Arc<dyn Discover>>,
    /// The destination of the standalone form.
    pub(crate) standalone: Option<Watch<Destination>>,
    /// A request waits this long for the first word about its destination.
    pub(crate) first_answer: Duration,
    pub(crate) limits: Limits,
    /// Limits of requests.
    pub(crate) admitted: mesh_serve::Limits,
    /// Serves what is inside of tunnels.
    pub(crate) server: Server,
    /// This proxy's own addresses: sending there would go round in circles.
    pub(crate) own: Arc<[SocketAddr]>,
    /// Destinations of connections by address, known before anything is read from them.
    pub(crate) hints: Mutex<HashMap<Box<str>, Watch<Destination>>>,
}

/// A response, or an injected error that ends its connection or stream.
type Answer<B> = Result<Response<B>, Broken>;

/// The name under which the standalone destination is cached; no authority is empty.
pub(crate) const STANDALONE: &str = "";

impl Outbound {
    /// The line from `respond` to `find`; below it is [`stack::stack`].
    ///
    /// No `async fn`: each of those holds its arguments twice, and a future is moved.
    pub(crate) fn handle(
        self: &Arc<Self>,
        conn: &Conn,
        policy: &OutboundPolicy,
        mut req: Request<RequestBody>,
        draining: &Draining,
    ) -> impl Future<Output = Answer<impl Body<Data = Bytes, Error = Broken> + Send + use<>>>
    + Send
    + use<> {
        let asked = RequestKind::of(&req);
        if req.method() == Method::CONNECT && policy.tunnels {
            let (outbound, conn, draining) = (self.clone(), conn.clone(), draining.clone());
            let answer = async move {
                match outbound.tunnel(conn, req, draining).await {
                    Ok(()) => Ok(Response::new(ResponseBody::Empty)),
                    Err(error) => Ok(respond::error(&error, asked)),
                }
            };
            return Either::Left(answer.boxed());
        }
        // Errors from below become 502, 503 and 504.
        match self.admit(conn, policy, &mut req) {
            Ok(entry) => {
                if let Some(rsp) = max_forwards::last_hop(&mut req) {
                    return Either::Left(ready(Ok(rsp)).boxed());
                }
                Either::Right(
                    entry
                        .call(req, deadline::until)
                        .map(move |result| match result {
                            Ok(rsp) => Ok(answered(rsp, asked)),
                            Err(error) if InjectedReset::of(&*error).is_some() => {
                                Err(Broken::new(error))
                            }
                            Err(error) => Ok(respond::error(&error, asked)),
                        }),
                )
            }
            Err(error) => Either::Left(ready(Ok(respond::error(&error, asked))).boxed()),
        }
    }

    /// Where a request goes, without what may not go there.
    fn admit(
        self: &Arc<Self>,
        conn: &Conn,
        policy: &OutboundPolicy,
        req: &mut Request<RequestBody>,
    ) -> Result<Arc<Entry<Stack>>, BoxError> {
        admit::size(req, &self.admitted)?;
        admit::coding(req)?;
        admit::length(req)?;
        extensions::insert_reused(req);
        let version = req.version();
        if headers::strip_request(req.headers_mut(), version, policy.is_outside) {
            deadline::note(req);
        }
        if self.context.tap.subscriptions() > 0 {
            // Only a tap asks where a request came from.
            req.extensions_mut().insert(conn.clone());
        }
        self.find(conn, policy, req)
    }

    /// The destination of a request, whose Host says where it is going from now on.
    fn find(
        self: &Arc<Self>,
        conn: &Conn,
        policy: &OutboundPolicy,
        req: &mut Request<RequestBody>,
    ) -> Result<Arc<Entry<Stack>>, BoxError> {
        if req.method() == Method::CONNECT {
            return Err(Refusal::new(
                StatusCode::NOT_IMPLEMENTED,
                "CONNECT is for the outbound listener",
            )
            .into());
        }
        let named = admit::authority(req)?;
        let entry = match &policy.naming {
            Naming::Standalone => self.cache.get(STANDALONE, |entry| {
                let watch = self.standalone.clone();
                tokio::spawn(self.clone().follow(STANDALONE.into(), watch, entry))
            }),
            Naming::Replaced(authority) => {
                let host = HeaderValue::from_str(authority)?;
                let entry = self.entry(authority);
                become_authority(req, host)?;
                entry
            }
            Naming::Fixed(authority) => self.entry(authority),
            Naming::Captured => {
                let original = conn.original_dst.ok_or_else(|| {
                    Refusal::new(StatusCode::BAD_REQUEST, "no original destination")
                })?;
                let host = named.as_ref().map_or(Ok(""), |host| host.to_str())?;
                self.captured(&captured_authority(host, original), original)
            }
            Naming::Request => {
                let host = named.ok_or_else(|| Refusal::new(StatusCode::BAD_REQUEST, "no Host"))?;
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

    pub(crate) fn ask(&self, authority: &str) -> Option<Watch<Destination>> {
        let discover = self.discover.as_ref();
        discover.map(|discover| discover.destination(authority))
    }
}

/// An endpoint's response as the caller gets it.
fn answered<B>(mut rsp: Response<B>, asked: RequestKind) -> Response<ResponseBody<B>> {
    headers::strip_hop_by_hop(rsp.headers_mut());
    if !rsp.status().is_success()
        && let Some(fault) = rsp.extensions().get::<Fault>()
    {
        let reason = HeaderValue::from_static(fault.as_str());
        rsp.headers_mut().insert(respond::REASON, reason);
    }
    if respond::strip(rsp.headers_mut()) && asked.http1 {
        let close = HeaderValue::from_static("close");
        rsp.headers_mut().insert(CONNECTION, close);
    }
    respond::stream(rsp, asked)
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
