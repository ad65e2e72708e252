//! The contract of `Service`, as far as it applies: a pool has no inner service, so its callers are
//! checked through a real endpoint, and what is below it through a mock that serves.

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt as _, Full};
use mesh_conformance::{Mock, MockReply, Shape, StrictBody};
use mesh_pool::{Body, Pool, Protocol, Returned, SendError, Settings, Target};
use mesh_serve::{Draining, Limits, Protocol as Detected, RequestBody, Server, detect, drain};
use mesh_transport::Io;
use std::{
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
};
use tokio::net::TcpListener;
use tower::{Service as _, ServiceExt as _};

type TestPool = Pool<Full<Bytes>>;

fn pool(addr: SocketAddr) -> (TestPool, Arc<Settings>) {
    let settings = Arc::new(Settings::default());
    (
        Pool::new(Target::plain(addr, Protocol::Http1), settings.clone()),
        settings,
    )
}

fn request(version: Version, body: &'static str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(Method::POST)
        .version(version)
        .uri("http://a.example/path")
        .header("x-kept", "1")
        .body(Full::from(body))
        .unwrap()
}

/// Serves with answers of the mock's, which reads requests to their end.
async fn endpoint(mock: Mock) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_drain, draining) = drain::channel();
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(
                Io::new(socket, Arc::default()),
                mock.clone(),
                draining.clone(),
            ));
        }
    });
    addr
}

async fn serve(mut io: Io, mock: Mock, draining: Draining) {
    let server = Server::new(&Limits::default());
    let Ok(Some(protocol @ (Detected::Http1 | Detected::Http2))) =
        detect::detect(&mut io, server.limits()).await
    else {
        return;
    };
    let service = tower::service_fn(move |req: Request<RequestBody>| {
        let mock = mock.clone();
        async move {
            let (head, body) = req.into_parts();
            let data = body.collect().await.map_err(|_| "broke off")?.to_bytes();
            let text: &'static str = String::from_utf8_lossy(&data).into_owned().leak();
            let req = Request::from_parts(head, StrictBody::new(&Shape::of([text])));
            mock.oneshot(req).await.map_err(|_| "failed")
        }
    });
    server.serve(io, protocol, service, draining).await;
}

async fn text(body: Body<Full<Bytes>>) -> Bytes {
    body.collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn a_request_arrives_once_and_whole_and_its_answer_comes_back_whole() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mock = Mock::new(1);
        mock.answer([MockReply::Response(503, Shape::of(["one", "two"]))]);
        let (pool, settings) = pool(endpoint(mock.clone()).await);
        let rsp = pool.oneshot(request(version, "hello")).await.unwrap();
        assert_eq!(rsp.status(), 503);
        assert_eq!(text(rsp.into_body()).await, "onetwo");
        let seen = mock.seen();
        assert_eq!(
            (seen.len(), &*seen[0].data),
            (1, &b"hello"[..]),
            "{version:?}"
        );
        assert_eq!(settings.connector.meter.read().opened, 1);
        mock.assert_idle("after the answer was read");
    }
}

#[tokio::test]
async fn a_pool_and_its_clones_are_always_ready_and_share_connections() {
    let (mut pool, settings) = pool(endpoint(Mock::new(1)).await);
    for _ in 0..3 {
        let mut clone = pool.clone();
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(pool.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        assert!(matches!(clone.poll_ready(&mut cx), Poll::Ready(Ok(()))));
        let rsp = clone.call(request(Version::HTTP_11, "")).await.unwrap();
        text(rsp.into_body()).await;
    }
    assert_eq!(settings.connector.meter.read().opened, 1);
}

#[tokio::test]
async fn a_future_that_is_dropped_leaves_no_connection_behind_that_others_would_get() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let mock = Mock::new(2);
        let (pool, _) = pool(endpoint(mock.clone()).await);
        for _ in 0..3 {
            let mut sending = Box::pin(pool.clone().oneshot(request(version, "hello")));
            let _ = futures_util::FutureExt::now_or_never(&mut sending);
            drop(sending);
            let rsp = pool
                .clone()
                .oneshot(request(version, "next"))
                .await
                .unwrap();
            text(rsp.into_body()).await;
            assert_eq!(mock.seen().last().unwrap().data, "next");
        }
    }
}

#[tokio::test]
async fn a_request_that_never_left_comes_back_as_it_was() {
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let (pool, _) = pool(nobody);
        let mut error = pool.oneshot(request(version, "hello")).await.unwrap_err();
        let error = error.downcast_mut::<SendError>().unwrap();
        let returned: Returned<Full<Bytes>> = error.take_back().unwrap();
        assert_eq!(returned.from, nobody);
        assert_eq!(returned.req.uri(), "http://a.example/path");
        assert_eq!(returned.req.version(), version);
        assert_eq!(returned.req.headers()["x-kept"], "1");
        let body = returned.req.into_body().collect().await.unwrap();
        assert_eq!(body.to_bytes(), "hello");
    }
}
