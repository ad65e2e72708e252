//! The connections of one worker to one endpoint.
//!
//! A request is sent over the protocol it came with. What provably never left is sent again at
//! once on another connection: not an attempt, no budget. That is so when hyper hands the request
//! back, when HTTP/2 says that the stream was refused, and for an idempotent request without a
//! body also when a connection that had been used before broke before any answer, and soon: the
//! peer was closing it (RFC 9110, 9.2.2). If there is nobody to connect to, or the proxy there says
//! so of its application, the request is given back, for another endpoint; so is, for the budget to
//! decide, an idempotent request without a body that was lost in any other way: on a new
//! connection, after a while, or because the peer reset its stream.

mod body;
mod error;
mod exchange;
mod framing;
mod http1;
mod http2;
mod kept;
mod memory;
mod settings;
mod spare;
mod stream;
mod upload;
mod wakeup;

pub(crate) use self::{body::Body, error::SendError, settings::Settings, spare::Returned};

use self::{
    http1::Idle,
    spare::Spare,
    upload::{Upload, Uploaded},
};
use crate::{
    http::{
        headers::CANONICAL,
        respond::{ERROR, REASON},
    },
    registry::Held,
    tcp::opaque,
    transport::Io,
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version};
use http_body::Body as HttpBody;
use hyper_util::rt::TokioIo;
use mesh_core::{BoxError, Fault, Route, hot::CallClock};
use std::{
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
const MAX_HEADERS: usize = 100;

/// What a map of headers can hold.
const MOST_HEADERS: usize = 24_576;

/// Sends requests to one endpoint. Clones share its connections.
pub(crate) struct Pool<B>(Arc<Inner<B>>);

/// The one box of a request's way down. It is small enough for the allocator's fast lists (a
/// kilobyte, in the GNU C library), because what is rare has a box of its own, and because what
/// makes it is no `async fn`: that would hold its arguments twice.
type Sending<B> = Pin<Box<dyn Future<Output = Result<Response<Body<B>>, BoxError>> + Send>>;

struct Inner<B> {
    addr: SocketAddr,
    settings: Arc<Settings>,
    /// What a proxy at the other end is told of the destination.
    canonical: Option<HeaderValue>,
    /// Keeps the endpoint's series from being forgotten.
    _series: Held,
    /// Unused HTTP/1 connections, the last used at the end.
    idle: Mutex<Vec<Idle<B>>>,
    /// Whether a task watches `idle`.
    reaping: AtomicBool,
    /// The HTTP/2 connection, which requests share.
    shared: Mutex<Option<h2::client::SendRequest<Bytes>>>,
    /// Held while it, or a stream of it, is being opened: one after the other.
    opening: tokio::sync::Mutex<()>,
}

impl<B> Pool<B> {
    pub(crate) fn new(addr: SocketAddr, settings: Arc<Settings>, series: Held) -> Self {
        Self(Arc::new(Inner {
            addr,
            settings,
            canonical: None,
            _series: series,
            idle: Mutex::default(),
            reaping: AtomicBool::new(false),
            shared: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
        }))
    }

    /// Tells the proxy at the other end which destination, `fqdn:port`, this is for.
    pub(crate) fn announcing(mut self, canonical: Option<HeaderValue>) -> Self {
        let inner = Arc::get_mut(&mut self.0).expect("nobody else has a new pool");
        inner.canonical = canonical;
        self
    }
}

impl<B> Inner<B> {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<B>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Option<h2::client::SendRequest<Bytes>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<TokioIo<Io>, SendError> {
        opaque::connect(self.addr, &self.settings)
            .await
            .map(|io| TokioIo::new(io.in_turns(&self.settings.turn)))
    }

    /// Tells the peer's proxy which destination the request is for.
    fn announce<B2>(&self, req: &mut Request<B2>) {
        if let Some(canonical) = &self.canonical {
            req.headers_mut().insert(CANONICAL, canonical.clone());
        }
    }

    /// Whether the peer's proxy says that its application cannot be reached, so that nobody has
    /// seen the request, or that the request was lost there, and may be sent again. It is believed
    /// because a proxy lets no application say so.
    fn refusal<B2>(&self, rsp: &Response<B2>) -> Option<Fault> {
        if self.canonical.is_none() || !rsp.headers().contains_key(&ERROR) {
            return None;
        }
        let reason = rsp.headers().get(&REASON)?;
        let told = [Fault::Refused, Fault::ConnectTimeout, Fault::Reset];
        told.into_iter().find(|fault| reason == fault.as_str())
    }

    /// Lets the request go along with the answer, which is a `refusal`, for another endpoint.
    fn give_back<B2>(
        &self,
        rsp: &mut Response<B2>,
        refusal: Fault,
        spare: Spare,
        uploaded: Uploaded<B>,
    ) where
        B: HttpBody<Data = Bytes> + Unpin + Send + 'static,
    {
        let lost = refusal == Fault::Reset;
        if lost && !(spare.method().is_idempotent() && uploaded.was_empty()) {
            return;
        }
        if let Some(req) = uploaded.unsent(spare.into_request(Upload::empty())) {
            // A retry layer looks after those.
            if lost && Route::of(&req).is_some_and(Route::is_retryable) {
                return;
            }
            let returned = Returned {
                req,
                from: self.addr,
                lost,
            };
            returned.go_with(rsp);
        }
    }

    /// Whether what was `sent` then, and lost now, met a peer that was closing the connection.
    fn is_soon(&self, sent: Instant) -> bool {
        sent.elapsed() < self.settings.resend
    }

    fn note_resent(&self) {
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

/// The time at which a request is sent: that which others have read for it, if it is sent at once.
fn sending() -> Instant {
    Instant::from_std(CallClock::arriving(|| Instant::now().into_std()))
}
