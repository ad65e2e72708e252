//! The time a caller gives its request, kept by the sidecars between it and who answers.

use crate::support::*;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::{body::Incoming, client::conn::http2, server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use mesh_discover::{Destination, Publisher, Watch};
use mesh_profile::ProfileSpec;
use mesh_proxy::{Discover, Proxy, Role};
use mesh_timeout::parse_timeout;
use std::{convert::Infallible, future::pending, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

const BOOKS: &str = "books.shop:7002";
const MS: Duration = Duration::from_millis(1);
const MESSAGE: &[u8] = b"\0\0\0\0\x01x";

/// A sidecar for callers of `books`.
fn outbound(profile: ProfileSpec, upstream: std::net::SocketAddr) -> Running {
    let discovery = Discovery::default();
    let books = destination(BOOKS, profile, &[upstream]);
    discovery.set("books:7002", books);
    Running::discovering(config([Role::Outbound]), &discovery)
}

/// Never answers.
async fn silent() -> Upstream {
    Upstream::start(|_, _| pending()).await
}

/// Answers with a message every 20 ms, for ever.
async fn ticking(content_type: &'static str) -> Upstream {
    Upstream::start(move |_, _| async move {
        let ticks = stream::unfold((), |()| async {
            sleep(20 * MS).await;
            let message = Frame::data(Bytes::from_static(MESSAGE));
            Some((Ok::<_, Infallible>(message), ()))
        });
        Response::builder()
            .header("content-type", content_type)
            .body(StreamBody::new(Box::pin(ticks) as Ticks).boxed())
            .unwrap()
    })
    .await
}

type Ticks = std::pin::Pin<
    Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send + Sync>,
>;

/// `GET /books` with these headers.
fn request(client: &Client, headers: &[(&'static str, &str)]) -> Request<Full<Bytes>> {
    let mut req = client.request("GET", "books:7002", "/books", "");
    for (name, value) in headers {
        req.headers_mut().insert(*name, value.parse().unwrap());
    }
    req
}

fn grpc(client: &Client, timeout: &str) -> Request<Full<Bytes>> {
    let kind = ("content-type", "application/grpc");
    request(
        client,
        &[kind, ("te", "trailers"), ("grpc-timeout", timeout)],
    )
}

/// Number of requests that timed out, and of attempts with any result.
async fn counted(proxy: &Running) -> [f64; 2] {
    let metrics = proxy.metrics().await;
    let late = [r#"classification="failure""#, r#"error="timeout""#];
    ["route_response_total", "route_actual_response_total"].map(|name| metrics.sum(name, &late))
}

#[tokio::test]
async fn a_server_that_does_not_answer_in_time_is_given_up() {
    let server = silent().await;
    let outbound = outbound(ProfileSpec::default(), server.addr());
    let begun = Instant::now();

    let mut client = Client::http2(outbound.addr()).await;
    let reply = client.send(grpc(&client, "150m")).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("grpc-status"), Some("4"));
    assert_eq!(reply.header("mesh-reason"), Some("timeout"));

    let mut client = Client::http1(outbound.addr()).await;
    let req = request(&client, &[("mesh-deadline", "150m")]);
    let reply = client.send(req).await.unwrap();
    assert_eq!(reply.status, 504);
    assert_eq!(reply.header("mesh-reason"), Some("timeout"));

    assert!(begun.elapsed() >= 300 * MS, "not before it was time");
    assert_eq!(counted(&outbound).await[0], 2.0);
}

#[tokio::test]
async fn retries_share_the_callers_time_and_each_states_what_is_left() {
    // Fails at once; then fails late; then never answers.
    let server = Upstream::start(|_, number| async move {
        match number {
            0 => {}
            1 => sleep(20 * MS).await,
            _ => pending().await,
        }
        answer(503, "")
    })
    .await;
    let outbound = outbound(profile(|route| route.is_retryable = true), server.addr());
    let mut client = Client::http1(outbound.addr()).await;
    let req = request(&client, &[("mesh-deadline", "400m")]);
    assert_eq!(client.send(req).await.unwrap().status, 504);

    let left: Vec<Duration> = server
        .seen()
        .iter()
        .map(|seen| parse_timeout(seen.headers["mesh-deadline"].to_str().unwrap()).unwrap())
        .collect();
    assert_eq!(left.len(), 3);
    assert!(left[0] < 400 * MS, "{left:?}");
    assert!(left[1] < left[0], "{left:?}");
    assert!(left[2] + 20 * MS <= left[1], "{left:?}");
}

#[tokio::test]
async fn a_stream_of_grpc_ends_at_its_deadline_and_not_before() {
    let server = ticking("application/grpc").await;
    // The route's own timeout is over with the head.
    let route = profile(|route| route.timeout = Some("100ms".into()));
    let outbound = outbound(route, server.addr());
    let mut client = Client::http2(outbound.addr()).await;
    let begun = Instant::now();
    let reply = client.send(grpc(&client, "400m")).await.unwrap();
    assert!(begun.elapsed() >= 400 * MS);
    assert_eq!(reply.status, 200);
    assert!(reply.header("grpc-status").is_none());
    let trailers = reply.trailers.unwrap();
    assert_eq!(trailers["grpc-status"], "4");
    let said = trailers["grpc-message"].to_str().unwrap();
    assert!(said.contains("deadline"), "{said}");
    // Whole messages, and more than a few.
    assert_eq!(reply.body.len() % MESSAGE.len(), 0);
    assert!(!reply.body.is_empty());
    assert_eq!(counted(&outbound).await[0], 1.0);
    // The connection goes on.
    let reply = client.send(grpc(&client, "100m")).await.unwrap();
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "4");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_response_that_has_begun_breaks_off_where_no_status_can_follow() {
    let server = ticking("text/event-stream").await;
    let outbound = outbound(ProfileSpec::default(), server.addr());
    let mut client = Client::http1(outbound.addr()).await;
    let req = request(&client, &[("grpc-timeout", "100m")]);
    assert!(client.send(req).await.is_err());
}

#[tokio::test]
async fn a_deadline_for_the_head_leaves_the_body_alone() {
    let server = Upstream::start(|_, _| async {
        let late = stream::once(async {
            sleep(300 * MS).await;
            Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"late")))
        });
        Response::new(StreamBody::new(Box::pin(late) as Ticks).boxed())
    })
    .await;
    let outbound = outbound(ProfileSpec::default(), server.addr());
    let mut client = Client::http1(outbound.addr()).await;
    let req = request(&client, &[("mesh-deadline", "200m")]);
    let reply = client.send(req).await.unwrap();
    assert_eq!((reply.status.as_u16(), &*reply.text()), (200, "late"));
}

/// Two streams of messages, both without end: at the deadline both are over.
#[tokio::test]
async fn a_stream_both_ways_ends_in_both_directions() {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (ended, mut endings) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let service = service_fn(move |req: Request<Incoming>| {
            let ended = ended.clone();
            async move {
                let mut upload = req.into_body();
                tokio::spawn(async move {
                    let end = loop {
                        match upload.frame().await {
                            Some(Ok(_)) => {}
                            Some(Err(_)) => break "broken off",
                            None => break "whole",
                        }
                    };
                    ended.send(end).unwrap();
                });
                let nothing = stream::pending::<Result<Frame<Bytes>, Infallible>>();
                let rsp = Response::builder().header("content-type", "application/grpc");
                Ok::<_, Infallible>(rsp.body(StreamBody::new(nothing)).unwrap())
            }
        });
        let io = TokioIo::new(socket);
        let _ = server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await;
    });
    let outbound = outbound(ProfileSpec::default(), addr);

    let (send, receive) = mpsc::channel(1);
    let frames = stream::unfold(receive, |mut receive| async {
        let frame: Frame<Bytes> = receive.recv().await?;
        Some((Ok::<_, Infallible>(frame), receive))
    });
    let req = Request::post("http://books:7002/shop.Books/Watch")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", "300m")
        .body(StreamBody::new(Box::pin(frames)))
        .unwrap();
    let io = TokioIo::new(TcpStream::connect(outbound.addr()).await.unwrap());
    let (mut client, conn) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(conn);
    let message = || Frame::data(Bytes::from_static(MESSAGE));
    send.send(message()).await.unwrap();
    let reply = client.send_request(req).await.unwrap();
    let reply = reply.into_body().collect().await.unwrap();
    assert_eq!(reply.trailers().unwrap()["grpc-status"], "4");
    // The caller has not stopped; there is just nobody left to hear it.
    let ending = timeout(Duration::from_secs(20), endings.recv()).await;
    assert_eq!(ending, Ok(Some("broken off")));
    drop(send);
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_does_not_reach_the_application() {
    let app = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    discovery.set(
        "books:7002",
        destination(BOOKS, ProfileSpec::default(), &[]),
    );
    let inbound = Running::discovering(config([Role::Inbound(app.addr())]), &discovery);

    let mut client = Client::http1(inbound.addr()).await;
    let req = request(&client, &[("mesh-deadline", "0n")]);
    assert_eq!(client.send(req).await.unwrap().status, 504);
    let mut client = Client::http2(inbound.addr()).await;
    let reply = client.send(grpc(&client, "0m")).await.unwrap();
    assert_eq!(reply.header("grpc-status"), Some("4"));
    assert!(app.seen().is_empty());
    let metrics = inbound.metrics().await;
    // Nor is it a failure of the application.
    let failed = [r#"classification="failure""#];
    assert_eq!(metrics.sum("route_response_total", &failed), 0.0);

    // There is still time for this one.
    assert_eq!(client.send(grpc(&client, "1H")).await.unwrap().status, 200);
    assert_eq!(app.seen().len(), 1);
}

/// A controller that has not said a word yet.
struct Mute {
    watch: Watch<Destination>,
    /// Without one, the watch would end.
    _publisher: Publisher<Destination>,
}

impl Discover for Mute {
    fn destination(&self, _: &str) -> Watch<Destination> {
        self.watch.clone()
    }
}

#[tokio::test]
async fn the_wait_for_the_controller_is_part_of_a_callers_time() {
    let app = Upstream::answering(|_| 200).await;
    for role in [Role::Inbound(app.addr()), Role::Outbound] {
        let (publisher, watch) = Watch::channel();
        let mut config = config([role]);
        config.limits.fail_fast = Duration::from_secs(60);
        let proxy = Proxy::bind(config).unwrap();
        let mute = Mute {
            watch,
            _publisher: publisher,
        };
        let proxy = proxy.with_discover(Arc::new(mute));
        let proxy = Running::run(proxy);
        let mut client = Client::http1(proxy.addr()).await;
        let req = request(&client, &[("mesh-deadline", "100m")]);
        let reply = client.send(req).await.unwrap();
        assert_eq!(reply.status, 504);
        assert_eq!(reply.header("mesh-reason"), Some("timeout"));
    }
    assert!(app.seen().is_empty());
}
