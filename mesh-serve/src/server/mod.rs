//! One HTTP connection: served, watched, and told when to end.

mod body;
mod cancels;
mod frames;
mod http10;
mod linger;
pub(crate) mod pulse;
mod reclaim;
mod refusal;
mod socket;
mod target;
mod watchdog;

pub use self::reclaim::reclaim;

use self::{
    body::Open,
    cancels::{Cancels, Verdict},
    pulse::{Phase, Pulse},
    refusal::Texts,
    socket::Socket,
    watchdog::Watchdog,
};
use crate::{Draining, LimitNames, Limits, Protocol, RequestBody};
use bytes::Bytes;
use futures_util::{FutureExt as _, future::Either};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version, header::CONNECTION};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use mesh_transport::Io;
use pin_project_lite::pin_project;
use std::{
    convert::Infallible,
    error::Error,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// Serves connections within limits. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Server {
    limits: Limits,
    texts: Arc<Texts>,
    trailers: fn(&mut HeaderMap),
}

/// hyper's own bound, for which it needs no memory per request.
const MAX_HEADERS: usize = 100;

/// Entries that a `HeaderMap` can hold.
const MOST_HEADERS: usize = 24_576;

impl Server {
    /// A server with these limits.
    pub fn new(limits: &Limits) -> Self {
        Self {
            limits: *limits,
            texts: Arc::new(Texts::new(limits)),
            trailers: |_| {},
        }
    }

    /// Renders the answer to an HTTP/1 request that cannot even be read with `render`, which gets
    /// the status (`431 Request Header Fields Too Large`) and the reason, and returns the whole
    /// response with `connection: close`. Without it the reason is a body of plain text.
    #[must_use]
    pub fn with_refusals(mut self, render: fn(&str, &str) -> Vec<u8>) -> Self {
        Arc::make_mut(&mut self.texts).render = render;
        self
    }

    /// Edits the trailers of each request with `edit`.
    #[must_use]
    pub fn with_trailers(mut self, edit: fn(&mut HeaderMap)) -> Self {
        self.trailers = edit;
        self
    }

    /// The limits of this server.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Serves one HTTP connection until its end with a function, and admits every request that can
    /// be read.
    ///
    /// When the drain begins, HTTP/2 says GOAWAY and finishes its streams. HTTP/1 finishes the
    /// request in flight and says `connection: close`; having no way to say so while it is idle,
    /// it serves what is already on its way, before it closes.
    pub fn serve_fn<H, F, B>(
        &self,
        io: Io,
        protocol: Protocol,
        handle: H,
        draining: Draining,
    ) -> impl Future<Output = ()> + use<H, F, B>
    where
        H: Fn(Request<RequestBody>) -> F,
        F: Future<Output: Outcome<Body = B>> + Send + 'static,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>> + Send,
    {
        // The drain waits for `draining` itself, which lasts as long as the connection.
        let mut begins = draining.clone();
        let pulse = Arc::<Pulse>::default();
        let opens = pulse.clone();
        let trailers = self.trailers;
        let http1 = protocol != Protocol::Http2;
        let (ends, held) = (pulse.clone(), draining.clone());
        let service = service_fn(move |mut req: Request<Incoming>| {
            target::name_server(&mut req);
            let open = Open::new(opens.clone());
            let ends_unless_known = req.version() == Version::HTTP_10;
            // Not an async block: one holds the future that it awaits twice.
            let req = req.map(|body| {
                let read = (http1 && !body.is_end_stream()).then(|| opens.clone());
                RequestBody::new(body, trailers, read)
            });
            handle(req).map(move |outcome| {
                let mut response = outcome.into_result()?;
                // hyper closes where the rest of a body is not read, and that shows only later.
                let closes = open.pulse().is_leaving() || open.pulse().is_unread();
                if closes && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    let close = HeaderValue::from_static("close");
                    response.headers_mut().insert(CONNECTION, close);
                }
                if ends_unless_known {
                    http10::finish(&mut response);
                }
                Ok::<_, <F::Output as Outcome>::Error>(response.map(|body| open.body(body)))
            })
        });
        let served = if protocol == Protocol::Http2 {
            let io = Socket::new(io, pulse.clone(), self.texts.clone(), true);
            let watched = Watched {
                conn: self.http2().serve_connection(TokioIo::new(io), service),
                shut_down: http2::Connection::graceful_shutdown,
                when: async move { begins.started().await },
                waits: false,
                told: false,
                draining,
                watchdog: Watchdog::new(&self.limits, true),
                cancels: Some(Box::new(Cancels::new(self.limits.cancels))),
                pulse,
                names: self.limits.names,
            };
            // Each in a box, so that either takes the memory of what it is.
            Either::Left(Box::pin(watched))
        } else {
            let io = Socket::new(io, pulse.clone(), self.texts.clone(), false);
            let leaving = pulse.clone();
            let watched = Watched {
                conn: self
                    .http1()
                    .serve_connection(TokioIo::new(io), service)
                    .with_upgrades(),
                shut_down: http1::UpgradeableConnection::graceful_shutdown,
                when: async move {
                    begins.started().await;
                    leaving.leave();
                    Box::pin(begins.after_grace()).await;
                },
                waits: false,
                told: false,
                draining,
                watchdog: Watchdog::new(&self.limits, false),
                cancels: None,
                pulse,
                names: self.limits.names,
            };
            Either::Right(Box::pin(watched))
        };
        async move {
            if let Err(error) = served.await {
                tracing::debug!(%error, "connection ended");
            }
            if let Some((io, last)) = ends.take_leftover() {
                Box::pin(linger::read_on(io, last)).await;
            }
            drop(held);
        }
    }

    fn http1(&self) -> http1::Builder {
        let mut builder = http1::Builder::new();
        builder
            .auto_date_header(false)
            // The socket itself looks for clients that have left.
            .half_close(true)
            .max_header_size(self.limits.head_bytes)
            // A buffer that cannot hold a whole head would be one more limit.
            .max_buf_size(
                self.limits
                    .buffer_bytes
                    .max(self.limits.head_bytes.saturating_add(8192)),
            );
        if self.limits.headers != MAX_HEADERS {
            builder.max_headers(self.limits.headers.min(MOST_HEADERS));
        }
        builder
    }

    fn http2(&self) -> http2::Builder<TokioExecutor> {
        let limits = &self.limits;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .auto_date_header(false)
            .max_concurrent_streams(limits.streams)
            .max_pending_accept_reset_streams(limits.resets)
            .max_local_error_reset_streams(limits.errors)
            .initial_stream_window_size(limits.window_bytes)
            .initial_connection_window_size(limits.connection_window_bytes())
            .max_send_buf_size(limits.buffer_bytes.min(u32::MAX as usize))
            // What is over our limit, and not over twice of it, gets an answer that says so.
            .max_header_list_size(
                u32::try_from(limits.head_bytes.saturating_mul(2)).unwrap_or(u32::MAX),
            );
        builder
    }
}

/// The answer to a request: a response, or an error that ends its connection or stream.
#[allow(
    unnameable_types,
    reason = "nobody implements it but what stands below"
)]
pub trait Outcome {
    /// The body of the response.
    type Body;
    /// The error.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// The same as a result.
    ///
    /// # Errors
    ///
    /// The answer is an error.
    fn into_result(self) -> Result<Response<Self::Body>, Self::Error>;
}

impl<B> Outcome for Response<B> {
    type Body = B;
    type Error = Infallible;

    #[inline]
    fn into_result(self) -> Result<Self, Infallible> {
        Ok(self)
    }
}

impl<B, E: Into<Box<dyn Error + Send + Sync>>> Outcome for Result<Response<B>, E> {
    type Body = B;
    type Error = E;

    #[inline]
    fn into_result(self) -> Self {
        self
    }
}

pin_project! {
    /// Runs `conn` to its end, tells it `when` it is to finish, and cuts it off when it waits for
    /// too long, or when its client has taken back too much.
    ///
    /// No `async fn`: that would hold each of these twice, for as long as the connection lasts.
    struct Watched<C, W> {
        #[pin]
        conn: C,
        shut_down: fn(Pin<&mut C>),
        #[pin]
        when: W,
        // Whether `when` knows whom to wake.
        waits: bool,
        told: bool,
        draining: Draining,
        pulse: Arc<Pulse>,
        watchdog: Watchdog,
        names: &'static LimitNames,
        // Only over HTTP/2 it costs a client nothing to take back what it asked for.
        cancels: Option<Box<Cancels>>,
    }
}

impl<C, W> Future for Watched<C, W>
where
    C: Future<Output = hyper::Result<()>>,
    W: Future<Output = ()>,
{
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let mut this = self.project();
        // First, so that a request which is here already is seen before anything is shut down.
        let mut polled = this.conn.as_mut().poll(cx);
        // One task polls this, always the same: once is often enough until there is news.
        let is_due = !*this.told && (!*this.waits || this.draining.has_news());
        if is_due && polled.is_pending() {
            *this.waits = !this.draining.has_started();
            if this.when.poll(cx).is_ready() {
                *this.told = true;
                (this.shut_down)(this.conn.as_mut());
                polled = this.conn.as_mut().poll(cx);
            }
        }
        if polled.is_pending()
            && let Some(cancels) = this.cancels
        {
            match cancels.judge(this.pulse) {
                Verdict::Stay => {}
                Verdict::GoAway => {
                    tracing::debug!(limit = this.names.cancels, "connection sent GOAWAY");
                    (this.shut_down)(this.conn.as_mut());
                    polled = this.conn.as_mut().poll(cx);
                }
                Verdict::Close => {
                    tracing::debug!(limit = this.names.cancels, "connection cut off");
                    this.pulse.be_cancelled();
                    return Poll::Ready(Ok(()));
                }
            }
        }
        while polled.is_pending() {
            let Some(phase) = this.watchdog.poll(this.pulse, cx) else {
                return Poll::Pending;
            };
            tracing::debug!(limit = phase.limit_name(this.names), "connection cut off");
            match phase {
                Phase::Head => {
                    this.pulse.be_late();
                    // HTTP/1 answers; HTTP/2 says it with the end of its socket.
                    if this.cancels.is_some() {
                        return Poll::Ready(Ok(()));
                    }
                }
                Phase::Idle | Phase::Busy => (this.shut_down)(this.conn.as_mut()),
                Phase::Stalled => return Poll::Ready(Ok(())),
            }
            polled = this.conn.as_mut().poll(cx);
        }
        polled
    }
}
