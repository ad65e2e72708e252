//! Counters add up on both sides, for every way in which a request can end.

use crate::support::*;
use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt as _, StreamBody};
use mesh_profile::{ProfileSpec, RequestMatchSpec, RouteSpec};
use mesh_proxy::Role;
use std::{
    convert::Infallible,
    future::pending,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_stream::StreamExt as _;

const BOOKS: &str = "books.shop.svc.cluster.local:7002";

/// Of each kind of request.
const EACH: usize = 7;

/// A route for each path; the name is the path without its slash.
fn profile() -> ProfileSpec {
    let names = ["ok", "missing", "broken", "flaky", "slow", "gone", "cut"];
    let routes = names.map(|name| RouteSpec {
        name: name.into(),
        condition: RequestMatchSpec::path_regex(format!("/{name}")),
        is_retryable: name == "flaky",
        timeout: (name == "slow").then(|| "30ms".into()),
        ..RouteSpec::default()
    });
    ProfileSpec {
        routes: routes.into(),
        ..ProfileSpec::default()
    }
}

async fn respond(path: &str, flaky: usize) -> Response<Body> {
    match path {
        "/missing" => answer(404, ""),
        "/broken" => answer(503, "broken"),
        "/flaky" => answer(if flaky.is_multiple_of(2) { 503 } else { 200 }, "flaky"),
        "/slow" | "/gone" => pending().await,
        "/cut" => {
            let first = http_body::Frame::data(Bytes::from_static(b"first"));
            let frames = tokio_stream::once(Ok::<_, Infallible>(first));
            let body = StreamBody::new(frames.chain(tokio_stream::pending()));
            Response::new(body.boxed())
        }
        _ => answer(200, "ok"),
    }
}

/// The counts of one route of one proxy: requests, and responses in all and with `label`.
async fn counts(proxy: &Running, prefix: &str, route: &str, label: &str) -> [usize; 3] {
    let metrics = proxy.metrics().await;
    let route = format!(r#"rt_route="{route}""#);
    let sum =
        |name: &str, labels: &[&str]| metrics.sum(&format!("{prefix}_{name}"), labels) as usize;
    [
        sum("request_total", &[&route]),
        sum("response_total", &[&route]),
        sum("response_total", &[&route, label]),
    ]
}

#[tokio::test]
async fn both_sides_count_every_end_of_a_request_once() {
    let flaky = AtomicUsize::new(0);
    let app = Upstream::start(move |seen, _| {
        let flaky = match seen.uri.path() {
            "/flaky" => flaky.fetch_add(1, SeqCst),
            _ => 0,
        };
        async move { respond(seen.uri.path(), flaky).await }
    })
    .await;
    let discovery = Discovery::default();
    discovery.set(BOOKS, destination(BOOKS, profile(), &[]));
    let inbound = Running::discovering(config([Role::Inbound(app.addr())]), &discovery);
    let books = destination(BOOKS, profile(), &[inbound.addr()]);
    discovery.set("books:7002", books);
    let outbound = Running::discovering(config([Role::Outbound]), &discovery);

    for http2 in [false, true] {
        for (path, status) in [
            ("/ok", 200),
            ("/missing", 404),
            ("/broken", 503),
            ("/flaky", 200),
            ("/slow", 504),
        ] {
            for _ in 0..EACH {
                let mut client = match http2 {
                    false => Client::http1(outbound.addr()).await,
                    true => Client::http2(outbound.addr()).await,
                };
                assert_eq!(client.get("books:7002", path).await.unwrap().status, status);
            }
        }
        // The caller goes away before the head.
        for _ in 0..EACH {
            let before = app.seen().len();
            let mut client = match http2 {
                false => Client::http1(outbound.addr()).await,
                true => Client::http2(outbound.addr()).await,
            };
            let call = tokio::spawn(async move { client.get("books:7002", "/gone").await });
            while app.seen().len() == before {
                tokio::task::yield_now().await;
            }
            call.abort();
        }
    }

    let all = 2 * EACH;
    for (route, sent, answered, actual, label) in [
        ("ok", all, all, [all, all, all], r#"status_code="200""#),
        ("missing", all, all, [all, all, all], r#"status_code="404""#),
        (
            "broken",
            all,
            all,
            [all, all, all],
            r#"classification="failure""#,
        ),
        (
            "flaky",
            all,
            all,
            [2 * all, 2 * all, all],
            r#"status_code="200""#,
        ),
        // The attempt was cancelled by the deadline, before its head.
        ("slow", all, all, [all, 0, 0], r#"error="timeout""#),
        ("gone", all, 0, [all, 0, 0], ""),
    ] {
        let effective = counts(&outbound, "route", route, label).await;
        assert_eq!(effective, [sent, answered, answered], "{route}, effective");
        let attempts = counts(&outbound, "route_actual", route, label).await;
        assert_eq!(attempts, actual, "{route}, actual");
        let received = counts(&inbound, "route", route, label).await;
        assert_eq!(received, actual, "{route}, inbound");
    }
}

#[tokio::test]
async fn a_caller_that_leaves_in_the_middle_of_a_body_ends_the_response_everywhere() {
    let app = Upstream::start(|_, _| respond("/cut", 0)).await;
    let discovery = Discovery::default();
    discovery.set(BOOKS, destination(BOOKS, profile(), &[]));
    let inbound = Running::discovering(config([Role::Inbound(app.addr())]), &discovery);
    let books = destination(BOOKS, profile(), &[inbound.addr()]);
    discovery.set("books:7002", books);
    let outbound = Running::discovering(config([Role::Outbound]), &discovery);
    for n in 1..=EACH {
        let mut caller = TcpStream::connect(outbound.addr()).await.unwrap();
        let req = b"GET /cut HTTP/1.1\r\nhost: books:7002\r\n\r\n";
        caller.write_all(req).await.unwrap();
        let mut heard = Vec::new();
        while !heard.windows(5).any(|bytes| bytes == b"first") {
            heard.push(caller.read_u8().await.unwrap());
        }
        drop(caller);
        for (proxy, prefix) in [
            (&outbound, "route"),
            (&outbound, "route_actual"),
            (&inbound, "route"),
        ] {
            // It takes the news a moment to travel.
            loop {
                let [requests, responses, ok] =
                    counts(proxy, prefix, "cut", r#"status_code="200""#).await;
                assert_eq!(requests, n);
                if (responses, ok) == (n, n) {
                    break;
                }
                assert_eq!((responses, ok), (n - 1, n - 1));
            }
        }
    }
    // What it was read from is closed, and nothing else is open.
    for proxy in [outbound, inbound] {
        while proxy
            .metrics()
            .await
            .sum("tcp_open_connections", &[r#"peer="dst""#])
            > 0.0
        {}
    }
}
