//! HTTP/2 clients that take back what they have asked for, and heads that never end.

use crate::{
    flood::{is_alive, is_flat},
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, GOAWAY,
        HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, headers,
    },
    support::{Client, Running, Upstream, answer, grpc, standalone},
    wire::Wire,
};
use mesh_proxy::Limits;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
const NO_ERROR: [u8; 4] = [0; 4];
const SHORT: Duration = Duration::from_millis(50);

fn proxy_with(upstream: &Upstream, change: impl FnOnce(&mut Limits)) -> Running {
    let mut config = standalone(&[upstream]);
    change(&mut config.limits);
    Running::start(config)
}

/// Waits until the proxy has taken note of what was sent before, and adds what it says meanwhile
/// to `said`. Whether it has not closed.
async fn noted(wire: &mut Wire, said: &mut Vec<Frame>) -> bool {
    wire.say(frame(PING, 0, 0, b"are you?")).await;
    while let Some(frame) = wire.frame().await {
        if (frame.kind, frame.flags) == (PING, ACK) {
            return true;
        }
        said.push(frame);
    }
    false
}

/// The codes and texts of all GOAWAYs.
fn goaways(frames: &[Frame]) -> Vec<(u32, String)> {
    let text = |frame: &Frame| String::from_utf8_lossy(&frame.payload[8..]).into_owned();
    let goaways = frames.iter().filter(|frame| frame.kind == GOAWAY);
    goaways.map(|frame| (frame.code(), text(frame))).collect()
}

#[tokio::test]
async fn who_cancels_what_has_reached_the_upstream_is_shown_the_door() {
    for code in [CANCEL, NO_ERROR] {
        is_shown_the_door_with(code).await;
    }
}

async fn is_shown_the_door_with(code: [u8; 4]) {
    let upstream = Upstream::start(|_, _| std::future::pending()).await;
    let proxy = proxy_with(&upstream, |limits| limits.cancels = 100);
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let mut said = Vec::new();
    is_flat(async {
        for n in 0..2_000_u32 {
            let stream = n * 2 + 1;
            wire.say(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get()))
                .await;
            // Its request is on its way before it is reset: this is not what h2 counts.
            if !noted(&mut wire, &mut said).await {
                break;
            }
            wire.say(frame(RST_STREAM, 0, stream, &code)).await;
        }
    })
    .await;
    let goaways = goaways(&said);
    // First it is asked to go, which it ignores.
    assert_eq!(goaways[0], (0, String::new()));
    assert_eq!(goaways.last().unwrap().0, ENHANCE_YOUR_CALM, "{goaways:?}");
    assert!(goaways.last().unwrap().1.contains("(--max-cancels)"));
    assert_eq!(wire.rest().await, b"");
    let reached = upstream.seen().len();
    assert!((20..1_000).contains(&reached), "{reached}");
}

#[tokio::test]
async fn who_resets_what_is_answered_may_stay() {
    let upstream = Upstream::start(|seen, _| async move {
        match seen.uri.path() {
            "/grpc" => grpc("0"),
            "/empty" => answer(200, ""),
            _ => answer(200, "whole"),
        }
    })
    .await;
    let proxy = proxy_with(&upstream, |limits| {
        limits.cancels = 20;
        limits.uri_bytes = 20;
    });
    // The last is refused; as of a gRPC call that ends early, its request has not ended.
    let too_long = "/".repeat(21);
    for (path, last) in [
        ("/grpc", END_STREAM),
        ("/empty", END_STREAM),
        ("/", END_STREAM),
        (&*too_long, 0),
    ] {
        let mut head = headers(&[(":method", "POST"), (":scheme", "http")]);
        head.extend(headers(&[(":authority", "a"), (":path", path)]));
        let mut wire = Wire::http2(proxy.addr(), &[]).await;
        for n in 0..200_u32 {
            let stream = n * 2 + 1;
            wire.say(frame(HEADERS, END_HEADERS | last, stream, &head))
                .await;
            loop {
                let frame = wire.frame().await.unwrap();
                assert_ne!(frame.kind, GOAWAY, "{path} {n}");
                let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM > 0;
                if ends && frame.stream == stream {
                    break;
                }
            }
            wire.say(frame(RST_STREAM, 0, stream, &NO_ERROR)).await;
        }
        let mut said = Vec::new();
        assert!(noted(&mut wire, &mut said).await, "{path}");
        assert_eq!(goaways(&said), [], "{path}");
    }
}

#[tokio::test]
async fn who_cancels_much_and_goes_when_asked_loses_nothing() {
    let open = Arc::new(Semaphore::new(0));
    let gate = open.clone();
    let upstream = Upstream::start(move |_, _| {
        let gate = gate.clone();
        async move {
            let _permit = gate.acquire().await;
            answer(200, "whole")
        }
    })
    .await;
    let proxy = proxy_with(&upstream, |limits| limits.cancels = 20);
    let Client::Http2(mut client) = Client::http2(proxy.addr()).await else {
        unreachable!()
    };
    let request = || {
        let request = http::Request::get("http://a/").body(Default::default());
        request.unwrap()
    };
    let kept = tokio::spawn(client.send_request(request()));
    // It cancels until it has heard that it should go.
    while client.ready().await.is_ok() {
        let before = upstream.seen().len();
        let cancelled = client.send_request(request());
        tokio::select! {
            ended = cancelled => assert!(ended.is_err()),
            () = async {
                while upstream.seen().len() == before {
                    tokio::task::yield_now().await;
                }
            } => {}
        }
    }
    assert!((10..80).contains(&upstream.seen().len()));
    open.add_permits(100);
    assert_eq!(kept.await.unwrap().unwrap().status(), 200);
    is_alive(&proxy).await;
}

#[tokio::test]
async fn who_makes_the_proxy_reset_its_streams_is_shown_the_door() {
    let upstream = Upstream::start(|_, _| std::future::pending()).await;
    let proxy = proxy_with(&upstream, |_| {});
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let mut said = Vec::new();
    is_flat(async {
        for n in 0..3_000_u32 {
            let stream = n * 2 + 1;
            wire.say(frame(HEADERS, END_HEADERS | END_STREAM, stream, &get()))
                .await;
            // A window that is larger than can be is an error of the stream (RFC 9113, 6.9.1).
            wire.say(frame(WINDOW_UPDATE, 0, stream, &[127, 255, 255, 255]))
                .await;
            if !noted(&mut wire, &mut said).await {
                break;
            }
        }
    })
    .await;
    let goaways = goaways(&said);
    assert_eq!(goaways.last().map(|last| last.0), Some(ENHANCE_YOUR_CALM));
    assert!(upstream.seen().len() < 1_500);
}

#[tokio::test]
async fn a_head_in_frames_that_dribbles_is_cut_off() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = proxy_with(&upstream, |limits| limits.head = SHORT);
    for begun in [
        // A head without its end, after a whole one; and frames without theirs.
        [
            frame(HEADERS, END_HEADERS | END_STREAM, 1, &get()),
            frame(HEADERS, END_STREAM, 3, &get()),
        ]
        .concat(),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &get())[..20].to_vec(),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])[..4].to_vec(),
    ] {
        let mut wire = Wire::http2(proxy.addr(), &[]).await;
        wire.say(&begun).await;
        let goaway = wire.frame_of(GOAWAY).await.unwrap();
        assert_eq!(goaway.code(), ENHANCE_YOUR_CALM);
        let text = String::from_utf8_lossy(&goaway.payload[8..]).into_owned();
        assert!(text.contains("(--head-limit)"), "{text}");
        assert_eq!(wire.rest().await, b"");
    }
    // Only what came before, whole.
    assert!(upstream.seen().len() <= 1);
}

#[tokio::test]
async fn frames_now_and_then_do_not_extend_the_limit_of_a_head() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = proxy_with(&upstream, |limits| limits.head = SHORT);
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    wire.say(frame(HEADERS, END_STREAM, 1, &get())).await;
    let dribble = frame(CONTINUATION, 0, 1, &headers(&[("x", "y")]));
    let goaway = loop {
        match tokio::time::timeout(SHORT / 10, wire.more()).await {
            // What is there by then is whole: GOAWAY is the last thing that is said.
            Ok(None) => break wire.frame_of(GOAWAY).await,
            Ok(Some(())) => {}
            Err(_) => wire.say(&dribble).await,
        }
    };
    assert!(goaway.is_none_or(|frame| frame.code() == ENHANCE_YOUR_CALM));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_body_may_take_longer_than_a_head() {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = proxy_with(&upstream, |limits| limits.head = SHORT);
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let mut post = headers(&[(":method", "POST"), (":scheme", "http")]);
    post.extend(headers(&[(":authority", "a"), (":path", "/")]));
    wire.say(frame(HEADERS, END_HEADERS, 1, &post)).await;
    let data = frame(DATA, END_STREAM, 1, b"late");
    let (first, second) = data.split_at(11);
    wire.say(first).await;
    // Another connection has long been cut off by then.
    for _ in 0..3 {
        let mut slow = Wire::http2(proxy.addr(), &[]).await;
        slow.say([0]).await;
        assert!(slow.frame_of(GOAWAY).await.is_some());
    }
    wire.say(second).await;
    assert_eq!(wire.frame_of(HEADERS).await.unwrap().stream, 1);
    assert_eq!(upstream.seen()[0].body, "late");
}
