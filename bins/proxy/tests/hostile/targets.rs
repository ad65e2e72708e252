//! Targets that name no path, cannot be read, or have a part that is not sent; and `Max-Forwards`.

use crate::{
    frames::{END_HEADERS, END_STREAM, HEADERS, frame, headers},
    recorder::Recorder,
    support::{Discovery, Running, Upstream, answer, config, destination, standalone},
    wire::{Answer, Wire},
};
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;

/// The standalone form, the sidecar of a service, and that of a caller.
fn each_way(upstream: &Recorder) -> [Running; 3] {
    let discovery = Discovery::default();
    discovery.set(
        "a",
        destination("a.shop:80", ProfileSpec::default(), &[upstream.addr()]),
    );
    [
        upstream.proxy(),
        Running::start(config([Role::Inbound(upstream.addr())])),
        Running::discovering(config([Role::Outbound]), &discovery),
    ]
}

/// The answer to `request`, and what reached the upstream, by each way.
async fn send(request: &str) -> Vec<(Answer, String)> {
    let mut all = Vec::new();
    for way in 0..3 {
        let upstream = Recorder::start().await;
        let proxies = each_way(&upstream);
        let mut wire = Wire::connect(proxies[way].addr()).await;
        wire.say(request).await;
        let answer = wire.answer().await.unwrap();
        all.push((answer, upstream.got()));
    }
    all
}

#[tokio::test]
async fn options_without_a_path_is_for_the_server_as_a_whole() {
    for (target, expected) in [
        ("http://a", "*"),
        ("*", "*"),
        ("http://a/", "/"),
        ("http://a?q", "/?q"),
        ("/x", "/x"),
    ] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        for (answer, got) in send(&request).await {
            assert_eq!(answer.status(), 200, "{target}: {answer:?}");
            let line = format!("OPTIONS {expected} HTTP/1.1|host: a|");
            assert!(got.starts_with(&line), "{target}: {got}");
        }
    }
    for (answer, got) in send("GET http://a HTTP/1.1\r\nHost: a\r\n\r\n").await {
        assert_eq!(answer.status(), 200);
        assert!(got.starts_with("GET / HTTP/1.1|"), "{got}");
    }
}

#[tokio::test]
async fn over_http2_the_server_as_a_whole_is_the_path_of_an_asterisk() {
    let upstream = Upstream::start(|_, _| async { answer(200, "") }).await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let list = [
        (":method", "OPTIONS"),
        (":scheme", "http"),
        (":authority", "a"),
        (":path", "*"),
    ];
    wire.say(frame(HEADERS, END_HEADERS | END_STREAM, 1, &headers(&list)))
        .await;
    assert_eq!(wire.frame_of(HEADERS).await.unwrap().payload[0], 0x88);
    assert_eq!(upstream.seen()[0].uri.path(), "*");
}

#[tokio::test]
async fn a_target_that_cannot_be_read_is_refused_with_the_byte_and_its_place() {
    for (target, expected) in [
        ("/a<b", "'<' at byte 3"),
        ("/?a=>", "'>' at byte 5"),
        ("/a`", "'`' at byte 3"),
        ("http://a/b<c", "'<' at byte 11"),
        ("/a#b", "a fragment ('#') at byte 3"),
        ("/?a#", "a fragment ('#') at byte 4"),
        ("http://a#b", "a fragment ('#') at byte 9"),
    ] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
        for (answer, got) in send(&request).await {
            assert_eq!((answer.status(), &*got), (400, ""), "{target}: {answer:?}");
            let error = answer.header("l5d-proxy-error").unwrap();
            assert!(error.contains(expected), "{target}: {error}");
            assert_eq!(answer.header("mesh-reason"), Some("refused"));
        }
    }
}

#[tokio::test]
async fn the_second_request_of_a_connection_is_read_as_the_first() {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let mut wire = Wire::connect(proxy.addr()).await;
    for path in ["/", "/\"{}|^\\", "/?`{}|"] {
        wire.say(format!("GET {path} HTTP/1.1\r\nHost: a\r\nX: <#>`\r\n\r\n"))
            .await;
        assert_eq!(wire.answer().await.unwrap().status(), 200, "{path}");
    }
    // A head in pieces.
    for piece in ["POST /a", "#b HTTP/1.1\r\n", "Host: a\r\n\r\n"] {
        wire.say(piece).await;
        tokio::task::yield_now().await;
    }
    let answer = wire.answer().await.unwrap();
    let error = answer.header("l5d-proxy-error").unwrap();
    assert!(error.contains("byte 3"), "{error}");
    assert!(!upstream.got().contains("POST"));
}

#[tokio::test]
async fn a_request_that_may_go_no_further_is_answered_here() {
    let hops = |method, hops| {
        format!("{method} /x HTTP/1.1\r\nHost: a\r\nCookie: secret\r\nMax-Forwards: {hops}\r\n\r\n")
    };
    for (answer, got) in send(&hops("OPTIONS", 0)).await {
        assert_eq!((answer.status(), &*got), (200, ""), "{answer:?}");
        assert_eq!(answer.body, b"");
    }
    for (answer, got) in send(&hops("TRACE", 0)).await {
        assert_eq!((answer.status(), &*got), (200, ""), "{answer:?}");
        assert_eq!(answer.header("content-type"), Some("message/http"));
        let received = "TRACE /x HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n";
        assert_eq!(String::from_utf8(answer.body).unwrap(), received);
    }
    for (answer, got) in send(&hops("OPTIONS", 2)).await {
        assert_eq!(answer.status(), 200);
        assert!(got.contains("|max-forwards: 1|"), "{got}");
    }
    for (answer, got) in send(&hops("GET", 0)).await {
        assert_eq!(answer.status(), 200);
        assert!(got.contains("|max-forwards: 0|"), "{got}");
    }
}
