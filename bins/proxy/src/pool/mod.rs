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
mod upload;

pub(crate) use self::{body::Body, error::SendError};

use self::{
    http1::Idle,
    upload::{Upload, Uploaded},
};
use crate::{
    config::Limits,
    headers::CANONICAL,
    opaque,
    registry::Held,
    respond::{ERROR, REASON},
    transport::{Io, Meter},
};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, Version};
use http_body::Body as HttpBody;
use hyper_util::rt::TokioIo;
use mesh_core::{BoxError, Fault, Moment, Route};
use std::{
    fmt,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Instant;
use tower_service::Service;

/// What the pools of one worker have in common.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Connecting may take this long.
    pub(crate) connect: Duration,
    /// An unused connection is closed after this, before the peer would.
    pub(crate) idle: Duration,
    /// Unused connections kept for one endpoint.
    pub(crate) size: usize,
    /// A connection that breaks so soon after a request was being closed.
    pub(crate) resend: Duration,
    /// An HTTP/1 client may be silent for so long in the middle of a body.
    pub(crate) body_gap: Duration,
    /// Headers of a response.
    pub(crate) headers: usize,
    /// Bytes of a response's head.
    pub(crate) head_bytes: usize,
    /// Bytes of one message that are buffered.
    pub(crate) buffer_bytes: usize,
    /// Bytes of all bodies that are kept, in the whole process.
    pub(crate) kept_bytes: usize,
    /// Counts bytes and connections.
    pub(crate) meter: Arc<Meter>,
    /// Counts requests sent again because they never left.
    pub(crate) resent: AtomicU64,
}

/// An application is given so much longer than other endpoints: nobody else can be asked in its
/// place. Many accept their connections from a queue of 128, of which a burst while they have no
/// processor makes too many. The kernel then drops the first packet, and sends it again after a
/// second, which is just when the usual limit passes.
const APPLICATION: u32 = 3;

impl Settings {
    /// For connections to the local application.
    pub(crate) fn inbound(limits: &Limits, meter: Arc<Meter>) -> Self {
        Self {
            connect: limits.connect.saturating_mul(APPLICATION),
            ..Self::new(limits, meter)
        }
    }

    pub(crate) fn new(limits: &Limits, meter: Arc<Meter>) -> Self {
        Self {
            connect: limits.connect,
            idle: limits.pool_idle,
            size: limits.pool_size,
            resend: limits.resend,
            body_gap: limits.body_gap,
            headers: limits.headers,
            head_bytes: limits.head_bytes,
            buffer_bytes: limits.buffer_bytes,
            kept_bytes: limits.retry_memory_bytes,
            meter,
            resent: AtomicU64::new(0),
        }
    }
}

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
    shared: Mutex<Option<hyper::client::conn::http2::SendRequest<Upload<B>>>>,
    /// Held while it is being opened, so that only one is.
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

    fn shared(&self) -> MutexGuard<'_, Option<hyper::client::conn::http2::SendRequest<Upload<B>>>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn connect(&self) -> Result<TokioIo<Io>, SendError> {
        opaque::connect(self.addr, &self.settings)
            .await
            .map(TokioIo::new)
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
        if lost && !(is_idempotent(&spare.method) && uploaded.was_empty()) {
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
            let returned = Shared(Arc::new(Mutex::new(Some(returned))));
            rsp.extensions_mut().insert(returned);
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

    fn call(&mut self, mut req: Request<B>) -> Self::Future {
        let pool = self.0.clone();
        if let Some(canonical) = &pool.canonical {
            req.headers_mut().insert(CANONICAL, canonical.clone());
        }
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

/// A request that comes back, for another endpoint.
pub(crate) struct Returned<B> {
    pub(crate) req: Request<B>,
    /// Where it did not get to.
    pub(crate) from: SocketAddr,
    /// Whether somebody may have seen it. Otherwise it never left.
    pub(crate) lost: bool,
}

/// One in the extensions of an answer.
struct Shared<B>(Arc<Mutex<Option<Returned<B>>>>);

impl<B: Send + 'static> Returned<B> {
    /// What comes back with an answer.
    pub(crate) fn take_from<B2>(rsp: &mut Response<B2>) -> Option<Self> {
        let Shared(returned) = rsp.extensions_mut().remove()?;
        let mut returned = returned.lock().unwrap_or_else(PoisonError::into_inner);
        returned.take()
    }
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

/// The time at which a request is sent: that which others have read for it, if it is sent at once.
fn sending() -> Instant {
    Instant::from_std(Moment::arriving(|| Instant::now().into_std()))
}

/// RFC 9110, 9.2.2.
pub(crate) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE | Method::TRACE
    )
}

/// The head of a request without a body, kept until it is known to have arrived.
struct Spare {
    method: Method,
    uri: http::Uri,
    version: Version,
    headers: http::HeaderMap,
    extensions: http::Extensions,
}

impl Spare {
    /// Takes the extensions along: they mean nothing to hyper.
    fn of<B>(req: &mut Request<B>) -> Self {
        Self {
            method: req.method().clone(),
            uri: req.uri().clone(),
            version: req.version(),
            headers: req.headers().clone(),
            extensions: std::mem::take(req.extensions_mut()),
        }
    }

    /// The request again, with the body that hyper did not need to read.
    fn into_request<B>(self, body: B) -> Request<B> {
        let mut req = Request::new(body);
        *req.method_mut() = self.method;
        *req.uri_mut() = self.uri;
        *req.version_mut() = self.version;
        *req.headers_mut() = self.headers;
        *req.extensions_mut() = self.extensions;
        req
    }
}
