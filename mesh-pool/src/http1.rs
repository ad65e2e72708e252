use crate::{
    Body, Protocol, SendError, Sending,
    ending::Ending,
    exchange::{self, Unsettled},
    pool::{Inner, MAX_HEADERS, MOST_HEADERS},
    upload::{Upload, Uploaded},
    wakeup::Wakeup,
};
use bytes::Bytes;
use futures_util::{TryFutureExt as _, future::join};
use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version,
    header::{HOST, UPGRADE},
};
use http_body::Body as HttpBody;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1},
};
use hyper_util::rt::TokioIo;
use mesh_core::{BoxError, Fault, hot::CallClock};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc, Weak,
        atomic::Ordering::{AcqRel, Release},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{runtime::Handle, time::Instant};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");

/// A connection between requests.
pub(crate) struct Idle<B> {
    conn: Box<Conn<B>>,
    since: Instant,
    /// True once the reaper is woken when the peer closes it.
    watched: bool,
}

/// One HTTP/1 connection. It goes from hand to hand in a box of its own.
pub(super) struct Conn<B> {
    sender: http1::SendRequest<Upload<B>>,
    /// Reads and writes. The request that has the connection polls it, so that no other task must
    /// wake up for it; absent when it runs as a task of its own.
    driver: Option<Driver>,
    wakeup: Wakeup,
    ending: Arc<Ending>,
    /// The peer's own `Keep-Alive: timeout`, less a second.
    peer_limit: Option<Duration>,
}

type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

/// A connection that a response body is still read from.
pub(super) struct Lease<B> {
    conn: Box<Conn<B>>,
    pool: Arc<Inner<B>>,
    /// The response began before the request had ended.
    was_early: bool,
}

pub(super) type Answer<B> = Result<Response<Incoming>, TrySendError<Request<Upload<B>>>>;

impl<B> Inner<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn send_http1(self: Arc<Self>, req: Request<B>) -> Sending<B> {
        if req.headers().contains_key(UPGRADE) {
            return Box::pin(self.send_upgrade(req).map_err(Into::into));
        }
        let idempotent = req.method().is_idempotent();
        let retryable = self.is_retried(req.extensions());

        let (parts, body) = req.into_parts();
        let (body, uploaded) = Upload::new(body, Some(self.settings.body_gap));
        self.dispatch(Unsettled {
            req: Request::from_parts(parts, body),
            uploaded,
            idempotent,
            retryable,
            fresh_only: false,
        })
    }

    pub(super) fn dispatch(self: Arc<Self>, unsettled: Unsettled<B>) -> Sending<B> {
        let idle = match unsettled.fresh_only {
            true => None,
            false => self.take_idle(),
        };
        if let Some((conn, since)) = idle {
            return Box::pin(exchange::begin(self, conn, Some(since), unsettled));
        }
        Box::pin(async move {
            match self.open(false).await {
                Ok(conn) => exchange::begin(self, conn, None, unsettled).await,
                Err(error) => Err(error.with_unsent(unsettled.unsent()).into()),
            }
        })
    }

    /// The response as the caller gets it: its body holds the connection until its end.
    pub(super) fn answered(
        self: &Arc<Self>,
        rsp: Response<Incoming>,
        mut conn: Box<Conn<B>>,
        uploaded: &Uploaded<B>,
    ) -> Response<Body<B>> {
        conn.peer_limit = keep_alive_timeout(rsp.headers()).or(conn.peer_limit);
        let was_early = !uploaded.is_done();
        if was_early {
            // Both directions are open: a caller that reads nothing until it has sent
            // everything would wait for itself if only its reading moved its writing.
            conn.detach();
        }
        let lease = Lease {
            conn,
            pool: self.clone(),
            was_early,
        };
        rsp.map(|body| Body::http1(body, Some(lease)))
    }

    /// Sends on a connection of its own, which becomes a tunnel if the answer is 101.
    async fn send_upgrade(
        self: Arc<Self>,
        mut req: Request<B>,
    ) -> Result<Response<Body<B>>, SendError> {
        let caller = hyper::upgrade::on(&mut req);
        self.prepare(&mut req);
        let mut conn = self.open(true).await?;
        conn.detach();
        let (parts, body) = req.into_parts();
        let (body, _) = Upload::new(body, Some(self.settings.body_gap));
        let mut rsp = conn
            .send(Request::from_parts(parts, body))
            .await
            .map_err(|error| SendError::broken(&error.into_error(), self.addr, false))?;
        if rsp.status() == StatusCode::SWITCHING_PROTOCOLS {
            let endpoint = hyper::upgrade::on(&mut rsp);
            tokio::spawn(async move {
                if let (Ok(caller), Ok(endpoint)) = join(caller, endpoint).await {
                    let mut caller = TokioIo::new(caller);
                    let mut endpoint = TokioIo::new(endpoint);
                    let _ = tokio::io::copy_bidirectional(&mut caller, &mut endpoint).await;
                }
            });
            return Ok(rsp.map(|body| Body::http1(body, None)));
        }
        let lease = Lease {
            conn,
            pool: self,
            was_early: false,
        };
        Ok(rsp.map(|body| Body::http1(body, Some(lease))))
    }

    /// Makes of the request as it came what is sent.
    pub(super) fn prepare<B2>(&self, req: &mut Request<B2>) {
        self.announce(req);
        to_origin_form(req);
    }

    async fn open(&self, upgrades: bool) -> Result<Box<Conn<B>>, SendError> {
        let (io, ending) = self.connect(Protocol::Http1).await?;
        let io = TokioIo::new(io);
        let mut builder = http1::Builder::new();
        builder
            // A proxy removes them (RFC 9112, 5.1).
            .allow_spaces_after_header_name_in_responses(true)
            .max_header_size(self.settings.head_bytes)
            .max_buf_size(
                self.settings
                    .buffer_bytes
                    .max(self.settings.head_bytes.saturating_add(8192)),
            );
        if self.settings.headers != MAX_HEADERS {
            builder.max_headers(self.settings.headers.min(MOST_HEADERS));
        }
        let (sender, conn) = builder
            .handshake(io)
            .await
            .map_err(|error| SendError::new(Fault::Unexpected, self.addr, error))?;
        Ok(Box::new(Conn {
            sender,
            driver: Some(if upgrades {
                Box::pin(conn.with_upgrades())
            } else {
                Box::pin(conn)
            }),
            wakeup: Wakeup::new(),
            ending,
            peer_limit: None,
        }))
    }

    /// The connection used last, and since when it is unused: the others may then grow old.
    fn take_idle(&self) -> Option<(Box<Conn<B>>, Instant)> {
        let learned = self.idle_limit.get();
        let mut idle = self.idle();
        // The others are older.
        if learned.is_some_and(|limit| {
            idle.last()
                .is_some_and(|last| last.since.elapsed() >= limit)
        }) {
            return None;
        }
        while let Some(Idle { conn, since, .. }) = idle.pop() {
            // The clock is read only where the peer may be about to close it; our own limit is
            // the reaper's.
            let over = conn
                .peer_limit
                .is_some_and(|limit| since.elapsed() >= limit);
            if !over && conn.sender.is_ready() {
                return Some((conn, since));
            }
        }
        None
    }

    fn put_idle(self: &Arc<Self>, conn: Box<Conn<B>>) {
        let mut idle = self.idle();
        if idle.len() >= self.settings.size {
            return;
        }
        let limit = conn.limit(self.settings.idle);
        idle.push(Idle {
            conn,
            since: Instant::from_std(CallClock::leaving(|| Instant::now().into_std())),
            watched: false,
        });
        drop(idle);
        // Bodies are also dropped while the runtime ends, when nothing can be spawned any more.
        if !self.reaping.swap(true, AcqRel)
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(reap(Arc::downgrade(self), limit));
        }
    }

    /// Closes what has been unused for too long, and learns from what the peer has closed; the
    /// shortest limit of what is left. Wakes the task of `cx` when the peer closes one.
    fn expire(&self, now: Instant, cx: &mut Context<'_>) -> Option<Duration> {
        let ours = self.settings.idle;
        let mut shortest: Option<Duration> = None;
        let mut looks_on = false;
        let mut idle = self.idle();
        idle.retain_mut(
            |Idle {
                 conn,
                 since,
                 watched,
             }| {
                let age = now.saturating_duration_since(*since);
                if !conn.is_open(cx) {
                    // Without a watch it may have been closed at any time before.
                    self.idle_limit.closed(if *watched { age } else { age / 2 });
                    return false;
                }
                *watched = conn.driver.is_some();
                let limit = conn.limit(ours);
                if age >= limit {
                    self.idle_limit.survived();
                    return false;
                }
                let learned = self.idle_limit.get();
                let limit = match learned {
                    // One is kept to look on, although it is not used any more.
                    Some(learned) if age >= learned && looks_on => return false,
                    Some(learned) => {
                        looks_on |= age >= learned;
                        limit.min(learned)
                    }
                    None => limit,
                };
                shortest = Some(shortest.map_or(limit, |shortest| shortest.min(limit)));
                true
            },
        );
        // Under the lock, so that whoever adds one now sees that nobody watches.
        if idle.is_empty() {
            self.reaping.store(false, Release);
        }
        shortest
    }
}

/// Watches the unused connections of a pool, as long as there are any.
async fn reap<B>(pool: Weak<Inner<B>>, limit: Duration)
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    let pause = |limit: Duration| (limit / 4).max(Duration::from_millis(10));
    let mut timer = pin!(tokio::time::sleep(pause(limit)));
    poll_fn(|cx| {
        let is_due = timer.as_mut().poll(cx).is_ready();
        let Some(pool) = pool.upgrade() else {
            return Poll::Ready(());
        };
        let now = Instant::now();
        let Some(shortest) = pool.expire(now, cx) else {
            return Poll::Ready(());
        };
        if is_due {
            timer.as_mut().reset(now + pause(shortest));
            if timer.as_mut().poll(cx).is_ready() {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Pending
    })
    .await;
}

impl<B> Conn<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    /// Sends `req`; whoever waits for the answer must [`drive`](Self::drive), too.
    pub(super) fn send(
        &mut self,
        req: Request<Upload<B>>,
    ) -> impl Future<Output = Answer<B>> + Send + use<B> {
        Wakeup::quietly(|| self.sender.try_send_request(req))
    }

    /// Reads and writes what can be read and written; false if a task does.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) -> bool {
        let is_here = self.driver.is_some();
        self.wakeup.poll(cx, |cx| drive(&mut self.driver, cx));
        is_here
    }

    /// The record of its end.
    pub(super) fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Time that it may be unused: `ours`, or the peer's limit if that is less.
    fn limit(&self, ours: Duration) -> Duration {
        self.peer_limit.map_or(ours, |peer| peer.min(ours))
    }

    /// Leaves reading and writing to a task.
    fn detach(&mut self) {
        if let Some(driver) = self.driver.take() {
            tokio::spawn(driver);
        }
    }

    /// Looks whether the peer has closed it, and wakes the task of `cx` when it does.
    fn is_open(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.sender.is_closed()
    }
}

/// Reads and writes what can be read and written. A connection that is over is dropped, which
/// answers whatever still waits for it.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(running) = driver
        && running.as_mut().poll(cx).is_ready()
    {
        *driver = None;
    }
}

impl<B> Lease<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<BoxError>,
{
    pub(super) fn is_driven_here(&self) -> bool {
        self.conn.driver.is_some()
    }

    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        self.conn.drive(cx);
    }

    /// After the last byte of the response.
    pub(super) fn give_back(mut self) {
        // Many servers close it then, without having said so.
        if self.was_early {
            return;
        }
        if self.conn.sender.is_ready() {
            return self.pool.put_idle(self.conn);
        }
        if self.is_driven_here() {
            // The connection may have yet to notice that it is free.
            let mut quiet = Context::from_waker(Waker::noop());
            if self.conn.is_open(&mut quiet) && self.conn.sender.is_ready() {
                self.pool.put_idle(self.conn);
            }
            return;
        }
        if !self.conn.sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(async move {
                if self.conn.sender.ready().await.is_ok() {
                    self.pool.put_idle(self.conn);
                }
            });
        }
    }
}

/// The form in which a server that is not a proxy gets its requests (RFC 9112, 3.2.1).
fn to_origin_form<B>(req: &mut Request<B>) {
    *req.version_mut() = Version::HTTP_11;
    if !req.headers().contains_key(HOST) {
        let host = match req.uri().authority() {
            Some(authority) => HeaderValue::from_str(authority.as_str()).ok(),
            None => None,
        };
        // HTTP/1.1 wants one even if it says nothing; HTTP/1.0 requests may have none.
        req.headers_mut()
            .insert(HOST, host.unwrap_or(HeaderValue::from_static("")));
    }
    if req.uri().authority().is_some() {
        let parts = std::mem::take(req.uri_mut()).into_parts();
        *req.uri_mut() = parts.path_and_query.map(Uri::from).unwrap_or_default();
    }
}

/// The peer's limit for an unused connection, from `Keep-Alive: timeout`, less a second.
fn keep_alive_timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(KEEP_ALIVE)?.to_str().ok()?;
    let seconds: u64 = text
        .split(',')
        .find_map(|part| part.trim().strip_prefix("timeout="))?
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds.saturating_sub(1)))
}
