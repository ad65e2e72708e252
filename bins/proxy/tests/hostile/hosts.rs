//! Requests that name two places, or none.

use crate::{
    frames::{END_HEADERS, END_STREAM, HEADERS, frame, headers},
    recorder::Recorder,
    support::{Client, Discovery, Running, Upstream, answer, config, destination},
    wire::Wire,
};
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;

/// The status and, for 200, what reached the upstream.
async fn send(bytes: &str) -> (u16, String) {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(bytes).await;
    let status = wire.answer().await.unwrap().status();
    assert!(status == 200 || upstream.got().is_empty());
    (status, upstream.got())
}

#[tokio::test]
async fn two_hosts_none_and_what_is_no_host_are_refused() {
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a, b\r\n",
        "Host: a,b\r\n",
        "Host: a b\r\n",
        "Host: b@a\r\n",
        "Host: a/b\r\n",
        "Host: a?b\r\n",
        "Host: http://a\r\n",
        "Host: a\\b\r\n",
        "Host: \"a\"\r\n",
        "Host: \u{e4}\r\n",
    ] {
        let (status, _) = send(&format!("GET / HTTP/1.1\r\n{hosts}X: y\r\n\r\n")).await;
        assert_eq!(status, 400, "{hosts:?}");
    }
}

#[tokio::test]
async fn the_host_of_an_absolute_target_is_the_only_one_left() {
    for target in ["http://a/x?y", "http://user:pass@a/x?y"] {
        let (status, got) = send(&format!("GET {target} HTTP/1.1\r\nHost: b\r\n\r\n")).await;
        assert_eq!((status, &*got), (200, "GET /x?y HTTP/1.1|host: a||"));
    }
}

#[tokio::test]
async fn targets_of_other_forms_are_refused_or_made_plain() {
    for (target, expected) in [
        ("a:1", 400),
        ("//b/x", 200),
        ("http:///x", 400),
        ("https://a/", 501),
        ("ftp://a/", 501),
    ] {
        let (status, got) = send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(status, expected, "{target}: {got}");
        assert!(
            got.is_empty() || got.matches("host: a|").count() == 1,
            "{target}: {got}"
        );
    }
}

#[tokio::test]
async fn connection_cannot_take_away_host_or_what_sidecars_say() {
    let upstream = Recorder::start().await;
    let discovery = Discovery::default();
    let books = destination("books.shop:80", ProfileSpec::default(), &[upstream.addr()]);
    discovery.set("books", books);
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(
        "GET / HTTP/1.1\r\nHost: books\r\nl5d-dst-canonical: evil:1\r\nl5d-x: y\r\nX-Mine: 1\r\n\
         Connection: host, l5d-dst-canonical, l5d-x, x-mine, connection\r\n\r\n",
    )
    .await;
    assert_eq!(wire.answer().await.unwrap().status(), 200);
    assert_eq!(
        upstream.got(),
        "GET / HTTP/1.1|host: books|l5d-dst-canonical: books.shop:80||"
    );
}

#[tokio::test]
async fn the_sidecar_of_the_service_refuses_two_hosts_as_well() {
    let upstream = Recorder::start().await;
    let proxy = Running::start(config([Role::Inbound(upstream.addr())]));
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 200),
    ] {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(request).await;
        assert_eq!(wire.answer().await.unwrap().status(), expected);
    }
    assert_eq!(upstream.got(), "GET / HTTP/1.1|host: a||");
}

#[tokio::test]
async fn over_http2_the_authority_is_the_only_name() {
    let upstream = Upstream::start(|_, _| async { answer(200, "") }).await;
    let proxy = Running::start(crate::support::standalone(&[&upstream]));
    let mut client = Client::http2(proxy.addr()).await;
    let mut req = client.request("GET", "a", "/", "");
    req.headers_mut().insert("host", "b".parse().unwrap());
    assert_eq!(client.send(req).await.unwrap().status, 200);
    let seen = &upstream.seen()[0];
    assert_eq!(seen.uri.authority().unwrap(), "a");
    assert!(!seen.headers.contains_key("host"));

    // Neither :authority nor Host.
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let list = [(":method", "GET"), (":scheme", "http"), (":path", "/")];
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(&list)))
        .await;
    // 400 is 0x8c in HPACK.
    assert_eq!(wire.frame_of(HEADERS).await.unwrap().payload[0], 0x8c);

    let mut req = client.request("GET", "a", "/", "");
    req.headers_mut().append("host", "b".parse().unwrap());
    req.headers_mut().append("host", "c".parse().unwrap());
    assert_eq!(client.send(req).await.unwrap().status, 400);
}
