//! Trailers that say what only a head may say.

use crate::{
    frames::{DATA, END_HEADERS, END_STREAM, HEADERS, frame, headers},
    recorder::Recorder,
    support::{Client, Running, Upstream, answer, config, standalone, streamed},
    wire::Wire,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use http_body::Frame;
use mesh_proxy::Role;

const POST: [(&str, &str); 4] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":authority", "a"),
    (":path", "/"),
];

#[tokio::test]
async fn trailers_of_a_request_say_nothing_in_the_name_of_the_mesh() {
    let upstream = Recorder::start().await;
    for proxy in [
        upstream.proxy(),
        Running::start(config([Role::Inbound(upstream.addr())])),
    ] {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\
             Trailer: x-sum, l5d-dst-canonical, mesh-attempt\r\n\r\n\
             2\r\nhi\r\n0\r\nx-sum: 1\r\nl5d-dst-canonical: b:1\r\nmesh-attempt: 9\r\n\r\n",
        )
        .await;
        assert_eq!(wire.answer().await.unwrap().status(), 200);
    }
    for got in upstream.connections() {
        let (_, trailers) = got.split_once("|0|").unwrap();
        assert_eq!(trailers, "x-sum: 1||", "{got}");
    }
}

#[tokio::test]
async fn trailers_of_a_response_say_nothing_in_the_name_of_the_mesh() {
    let upstream = Upstream::start(|_, _| async {
        let names = ["grpc-status", "l5d-proxy-error", "mesh-reason"];
        let pair = |name| (HeaderName::from_static(name), HeaderValue::from_static("0"));
        let trailers = names.into_iter().map(pair).collect();
        let frames = [
            Frame::data(Bytes::from_static(b"\0\0\0\0\0")),
            Frame::trailers(trailers),
        ];
        streamed("application/grpc", frames)
    })
    .await;
    for proxy in [
        Running::start(standalone(&[&upstream])),
        Running::start(config([Role::Inbound(upstream.addr())])),
    ] {
        let mut client = Client::http2(proxy.addr()).await;
        let trailers = client.get("a", "/").await.unwrap().trailers.unwrap();
        assert_eq!(trailers.len(), 1, "{trailers:?}");
        assert_eq!(trailers["grpc-status"], "0");
    }
}

#[tokio::test]
async fn pseudo_headers_in_trailers_go_no_further() {
    // The h2 crate drops them: neither hyper nor this proxy sees them.
    let upstream = Upstream::start(|seen, _| async move {
        assert_eq!(seen.uri.path(), "/");
        answer(200, "")
    })
    .await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let trailers = [(":path", "/admin"), ("x-sum", "1")];
    wire.say(frame(HEADERS, END_HEADERS, 1, &headers(&POST)))
        .await;
    wire.say(frame(DATA, 0, 1, b"hi")).await;
    wire.say(frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        1,
        &headers(&trailers),
    ))
    .await;
    wire.frame_of(HEADERS).await.unwrap();
    let seen = upstream.seen();
    assert_eq!((seen.len(), &seen[0].body[..]), (1, &b"hi"[..]));
}

#[tokio::test]
async fn trailers_over_the_limit_fail_with_its_name() {
    let upstream = Upstream::start(|_, _| async {
        let name = HeaderName::from_static("grpc-status-details-bin");
        let details = HeaderValue::try_from("x".repeat(70_000)).unwrap();
        let status = HeaderName::from_static("grpc-status");
        let trailers = [(status, HeaderValue::from_static("5")), (name, details)];
        let frames = [
            Frame::data(Bytes::from_static(b"\0\0\0\0\0")),
            Frame::trailers(trailers.into_iter().collect()),
        ];
        streamed("application/grpc", frames)
    })
    .await;
    for proxy in [
        Running::start(standalone(&[&upstream])),
        Running::start(config([Role::Inbound(upstream.addr())])),
    ] {
        let mut client = Client::http2(proxy.addr()).await;
        let mut call = client.request("POST", "a", "/", "");
        let kind = HeaderValue::from_static("application/grpc");
        call.headers_mut().insert("content-type", kind);
        let trailers = client.send(call).await.unwrap().trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "8", "{trailers:?}");
        let text = trailers["grpc-message"].to_str().unwrap();
        assert!(text.contains("--max-head-bytes"), "{text}");
        // Without gRPC there is no other way than to break off.
        assert!(client.get("a", "/").await.is_err());
    }
}
