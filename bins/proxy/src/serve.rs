use crate::{detect::Protocol, drain::Draining, respond::Broken, transport::Io};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header::CONNECTION};
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
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Context,
};

/// Serves one HTTP connection until its end.
///
/// When the drain begins, HTTP/2 says GOAWAY and finishes its streams. HTTP/1 finishes the request
/// in flight and says `connection: close`; having no way to say so while it is idle, it serves
/// what is already on its way, before it closes.
pub(crate) async fn http<H, F, B>(io: Io, protocol: Protocol, handle: H, draining: Draining)
where
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Broken> + Send + 'static,
{
    // The drain waits for `draining` itself, which lasts as long as the connection.
    let mut begins = draining.clone();
    let leaving = Arc::new(AtomicBool::new(false));
    let service = service_fn(|req| {
        let response = handle(req);
        let leaving = leaving.clone();
        async move {
            let mut response = response.await;
            if leaving.load(Relaxed) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(CONNECTION, close);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(io);
    let result = match protocol {
        Protocol::Http2 => {
            let conn = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .auto_date_header(false)
                .serve_connection(io, service);
            let started = async { begins.started().await };
            Box::pin(drained(conn, http2::Connection::graceful_shutdown, started)).await
        }
        _ => {
            let conn = http1::Builder::new()
                .auto_date_header(false)
                .serve_connection(io, service)
                .with_upgrades();
            let heard = async {
                begins.started().await;
                leaving.store(true, Relaxed);
                begins.heard().await;
            };
            drained(conn, http1::UpgradeableConnection::graceful_shutdown, heard).await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended");
    }
}

/// Runs `conn` to its end, and tells it `when` it is to finish.
async fn drained<C>(
    conn: C,
    shut_down: fn(Pin<&mut C>),
    when: impl Future<Output = ()>,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut conn = pin!(conn);
    let mut when = pin!(when);
    let mut told = false;
    poll_fn(|cx: &mut Context<'_>| {
        // First, so that a request which is here already is seen before anything is shut down.
        let polled = conn.as_mut().poll(cx);
        if polled.is_pending() && !told && when.as_mut().poll(cx).is_ready() {
            told = true;
            shut_down(conn.as_mut());
            return conn.as_mut().poll(cx);
        }
        polled
    })
    .await
}
