use crate::{detect::Protocol, drain::Draining, respond::Broken, transport::Io};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    task::Context,
};

/// Serves one HTTP connection until its end.
///
/// When the drain begins, HTTP/1 finishes the request in flight and says `connection: close`;
/// HTTP/2 says GOAWAY and finishes its streams.
pub(crate) async fn http<H, F, B>(io: Io, protocol: Protocol, handle: H, draining: Draining)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Broken> + Send + 'static,
{
    let service = service_fn(|req| {
        let response = handle(req);
        async move { Ok::<_, Infallible>(response.await) }
    });
    let io = TokioIo::new(io);
    let result = match protocol {
        Protocol::Http2 => {
            let conn = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .auto_date_header(false)
                .serve_connection(io, service);
            drained(conn, http2::Connection::graceful_shutdown, draining).await
        }
        _ => {
            let conn = http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(io, service)
                .with_upgrades();
            drained(
                conn,
                http1::UpgradeableConnection::graceful_shutdown,
                draining,
            )
            .await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// Runs `conn` to its end, and tells it when the drain begins.
async fn drained<C>(
    conn: C,
    shut_down: fn(Pin<&mut C>),
    mut draining: Draining,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut conn = pin!(conn);
    let mut started = pin!(draining.started());
    let mut told = false;
    poll_fn(|cx: &mut Context<'_>| {
        // First, so that a request which is here already is seen before anything is shut down.
        let polled = conn.as_mut().poll(cx);
        if polled.is_pending() && !told && started.as_mut().poll(cx).is_ready() {
            told = true;
            shut_down(conn.as_mut());
            return conn.as_mut().poll(cx);
        }
        polled
    })
    .await
}
