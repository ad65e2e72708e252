//! Heads that are too large, too old or too new.

use crate::{
    recorder::Recorder,
    support::{Client, Upstream, answer, standalone},
    wire::{Answer, Wire},
};
use mesh_proxy::Limits;

/// Returns the answer to the client, and checks that nothing reaches the upstream.
async fn refused(bytes: &[u8], change: impl FnOnce(&mut Limits)) -> Option<Answer> {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(change);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(bytes).await;
    let answer = wire.answer().await;
    if answer.is_none() || answer.as_ref().unwrap().header("connection") == Some("close") {
        assert_eq!(wire.rest().await, b"");
    }
    assert_eq!(upstream.got(), "");
    answer
}

/// That the answer has this status, and names this.
fn names(answer: Option<Answer>, status: u16, text: &str) {
    let answer = answer.unwrap();
    assert_eq!(answer.status(), status, "{answer:?}");
    assert_eq!(answer.header("mesh-reason"), Some("refused"), "{answer:?}");
    let error = answer.header("l5d-proxy-error").unwrap();
    assert!(error.contains(text), "{error}");
}

#[tokio::test]
async fn too_many_headers_are_refused_by_the_name_of_the_limit() {
    let head = |n| {
        let lines: String = (0..n).map(|n| format!("x-{n}: y\r\n")).collect();
        format!("GET / HTTP/1.1\r\nhost: a\r\n{lines}\r\n")
    };
    names(
        refused(head(100).as_bytes(), |_| {}).await,
        431,
        "--max-headers",
    );
    names(
        refused(head(9).as_bytes(), |limits| limits.headers = 9).await,
        431,
        "--max-headers",
    );

    let upstream = Recorder::start().await;
    let proxy = upstream.proxy_with(|limits| limits.headers = 300);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(head(299)).await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);
    assert!(upstream.got().ends_with("|x-298: y||"));
}

#[tokio::test]
async fn too_large_a_head_is_refused_by_the_name_of_the_limit() {
    for n in [70_000, 10_000_000] {
        let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(n));
        names(
            refused(head.as_bytes(), |_| {}).await,
            431,
            "--max-head-bytes",
        );
    }
    let endless = format!("GET / HTTP/1.1\r\nhost: a\r\n{}", "x: y\r\n".repeat(20_000));
    names(refused(endless.as_bytes(), |_| {}).await, 431, "--max-head");
}

#[tokio::test]
async fn too_long_a_target_is_refused_by_the_name_of_the_limit() {
    let target = |n| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "y".repeat(n));
    names(
        refused(target(40_000).as_bytes(), |_| {}).await,
        414,
        "--max-uri-bytes",
    );
    names(
        refused(target(100).as_bytes(), |limits| limits.uri_bytes = 100).await,
        414,
        "100 bytes",
    );
    names(
        refused(target(1_000_000).as_bytes(), |_| {}).await,
        431,
        "--max-head-bytes",
    );
}

#[tokio::test]
async fn other_versions_are_refused() {
    for line in [
        "GET /",
        "GET / HTTP/0.9",
        "GET / HTTP/1.2",
        "GET / HTTP/1.10",
        "GET / HTTP/2.0",
        "GET / HTTP/9.9",
        "GET / HTTP/11",
        "GET / http/1.1",
        "GET / HTTP/1.1 ",
        "GET / HTTP/-1.1",
        "GET / HTTPS/1.1",
        "GET  / HTTP/1.1",
    ] {
        let head = format!("{line}\r\nhost: a\r\n\r\n");
        names(
            refused(head.as_bytes(), |_| {}).await,
            400,
            "not a valid HTTP/1 request",
        );
    }
}

#[tokio::test]
async fn what_does_not_begin_like_http_is_carried_as_it_is_on_a_connection_of_its_own() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    for bytes in ["GET\t/\tHTTP/1.1", " GET / HTTP/1.1", "\0GET / HTTP/1.1"] {
        let bytes = format!("{bytes}\r\nhost: a\r\n\r\n");
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(&bytes).await;
        assert_eq!(wire.answer().await.unwrap().status(), 200);
        let expected = bytes
            .as_bytes()
            .escape_ascii()
            .to_string()
            .replace("\\r\\n", "|");
        assert_eq!(upstream.connections().last(), Some(&expected));
    }
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);
    assert_eq!(upstream.connections().len(), 4);
}

#[tokio::test]
async fn what_is_refused_over_http2_names_the_limit_too() {
    let upstream = Upstream::start(|_, _| async { answer(200, "") }).await;
    let mut config = standalone(&[&upstream]);
    config.limits.headers = 10;
    let proxy = crate::support::Running::start(config);
    let mut client = Client::http2(proxy.addr()).await;
    for (path, headers, size, status, flag) in [
        (40_000, 0, 0, 414, "--max-uri-bytes"),
        (1, 11, 1, 431, "--max-headers"),
        (1, 1, 100_000, 431, "--max-head-bytes"),
    ] {
        let mut req = client.request("GET", "a", &format!("/{}", "y".repeat(path)), "");
        for n in 0..headers {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            req.headers_mut()
                .insert(name, "y".repeat(size).parse().unwrap());
        }
        let reply = client.send(req).await.unwrap();
        assert_eq!(reply.status, status);
        assert!(reply.header("l5d-proxy-error").unwrap().contains(flag));
    }
    assert!(upstream.seen().is_empty());
    // The connection goes on.
    assert_eq!(client.get("a", "/").await.unwrap().status, 200);
}
