//! The connections to one endpoint.
//!
//! A request is sent over the protocol it came with. What the endpoint provably did not read is sent
//! again at once on another connection: not an attempt, no budget. That is so when hyper hands the
//! request back, when HTTP/2 says that the stream was not processed, and for an idempotent request
//! without a body also when the connection had been used before, and its peer closed it without
//! reading the request: see `ending`. If there is nobody to connect to, or the proxy there says so of
//! its application, the request is given back, for another endpoint. Whatever else may have run is
//! an error, and never sent again here.

use crate::{
    Body, Hooks, Protocol, Relay, Returned, SendError, Settings, Target,
    connect::connect,
    ending::{Ending, Watched},
    http1::Idle,
    http2::Shared,
    idle_limit::IdleLimit,
    spare::Spare,
    upload::{Upload, Uploaded},
};
use bytes::Bytes;
use http::{Extensions, Request, Response, Version};
use http_body::Body as HttpBody;
use mesh_core::{BoxError, Fault, hot::CallClock};
use std::{
    any::Any,
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::time::Instant;
use tower_service::Service;

/// hyper's own bound of headers, for which it needs no memory per response.
pub(crate) const MAX_HEADERS: usize = 100;

/// Entries that a `HeaderMap` can hold.
pub(crate) const MOST_HEADERS: usize = 24_576;

/// Sends requests to one endpoint. Clones share its connections.
pub struct Pool<B>(Arc<Inner<B>>);

/// A request on its way: the one box on it. It is small enough for the allocator's fast lists (a
/// kilobyte, in the GNU C library), because what is rare has a box of its own, and because what
/// makes it is no `async fn`: that would hold its arguments twice.
pub type Sending<B> = Pin<Box<dyn Future<Output = Result<Response<Body<B>>, BoxError>> + Send>>;

pub(crate) struct Inner<B> {
    pub(crate) addr: SocketAddr,
    pub(crate) settings: Arc<Settings>,
    target: Target,
    relay: Option<Relay>,
    /// Dropped with the pool.
    _guard: Option<Box<dyn Any + Send + Sync>>,
    /// Unused HTTP/1 connections, the last used at the end.
    idle: Mutex<Vec<Idle<B>>>,
    /// The endpoint's own limit for them.
    pub(crate) idle_limit: IdleLimit,
    /// Set while a task watches `idle`.
    pub(crate) reaping: AtomicBool,
    /// The HTTP/2 connection, which requests share.
    shared: Mutex<Option<Shared>>,
    /// Held while it, or a stream of it, is being opened: one after the other.
    pub(crate) opening: tokio::sync::Mutex<()>,
}

impl<B> Pool<B> {
    /// A pool of connections to `target`, which speak HTTP/1 or HTTP/2 as the requests do.
    pub fn new(target: Target, settings: Arc<Settings>) -> Self {
        Self(Arc::new(Inner {
            addr: target.addr,
            settings,
            target,
            relay: None,
            _guard: None,
            idle: Mutex::default(),
            idle_limit: IdleLimit::new(),
            reaping: AtomicBool::new(false),
            shared: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }))
    }

    /// Sends requests to a proxy that stands before the endpoint.
    ///
    /// # Panics
    ///
    /// The pool was cloned.
    #[must_use]
    pub fn through(mut self, relay: Option<Relay>) -> Self {
        self.only().relay = relay;
        self
    }

    /// Keeps `guard` until the last clone of the pool is dropped.
    ///
    /// # Panics
    ///
    /// The pool was cloned.
    #[must_use]
    pub fn holding(mut self, guard: impl Any + Send + Sync) -> Self {
        self.only()._guard = Some(Box::new(guard));
        self
    }

    fn only(&mut self) -> &mut Inner<B> {
        Arc::get_mut(&mut self.0).expect("a pool is configured before it is cloned")
    }
}

impl<B> Inner<B> {
    pub(crate) fn idle(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shared(&self) -> MutexGuard<'_, Option<Shared>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) async fn connect(
        &self,
        protocol: Protocol,
    ) -> Result<(Watched, Arc<Ending>), SendError> {
        let target = Target {
            protocol,
            ..self.target.clone()
        };
        let stream = connect(&target, &self.settings.connector).await?;
        let stream = match &self.settings.flusher {
            Some(flusher) => stream.with_flusher(flusher),
            None => stream,
        };
        Ok(Watched::new(stream, self.settings.resend))
    }

    pub(crate) fn hooks(&self) -> &'static Hooks {
        self.settings.hooks
    }

    /// Returns true if a layer above looks after a request with these extensions.
    pub(crate) fn is_retried(&self, extensions: &Extensions) -> bool {
        (self.settings.hooks.is_retried)(extensions)
    }

    /// Returns true if the peer is a proxy, which may say that nobody has seen the request.
    pub(crate) fn has_relay(&self) -> bool {
        self.relay.is_some()
    }

    /// Adds the header for the peer's proxy.
    pub(crate) fn announce<B2>(&self, req: &mut Request<B2>) {
        if let Some(relay) = &self.relay {
            let (name, value) = relay.header.clone();
            req.headers_mut().insert(name, value);
        }
    }

    /// The fault, if the peer's proxy says that its application cannot be reached, so that nobody has
    /// seen the request. It is believed because a proxy lets no application say so.
    pub(crate) fn refusal<B2>(&self, rsp: &Response<B2>) -> Option<Fault> {
        let relay = self.relay.as_ref()?;
        (relay.refusal)(rsp.headers())
    }

    /// Lets the request go along with the answer, which is a refusal, for another endpoint.
    pub(crate) fn give_back<B2>(&self, rsp: &mut Response<B2>, spare: Spare, uploaded: Uploaded<B>)
    where
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
    {
        if let Some(req) = uploaded.unsent(spare.into_request(Upload::empty())) {
            let returned = Returned {
                req,
                from: self.addr,
            };
            returned.go_with(rsp);
        }
    }

    pub(crate) fn note_resent(&self) {
        self.settings.resent.fetch_add(1, Relaxed);
    }
}

impl<B> Service<Request<B>> for Pool<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body<B>>;
    type Error = BoxError;
    type Future = Sending<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        let pool = self.0.clone();
        match req.version() {
            Version::HTTP_2 => pool.send_http2(req),
            _ => pool.send_http1(req),
        }
    }
}

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0.addr).finish()
    }
}

/// The time at which a request is sent: the reading that other layers have made for it, if it is sent
/// at once.
pub(crate) fn sending() -> Instant {
    Instant::from_std(CallClock::arriving(|| Instant::now().into_std()))
}
