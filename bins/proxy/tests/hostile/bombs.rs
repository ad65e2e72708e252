//! Requests that are large without end. Whoever sends one is refused, and nothing of it is kept.

use crate::{flood::is_flat, recorder::Recorder, wire::Wire};

/// Far more than the memory may grow by, in bursts of a megabyte.
const BURSTS: usize = 200;

const CHUNKED: &str = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// Sends `begin`, then `part` for as long as the proxy takes it, and says how that was answered.
async fn explode(begin: &str, part: &str) -> Option<u16> {
    let upstream = Recorder::start().await;
    let proxy = upstream.proxy();
    let burst = part.repeat((1 << 20) / part.len());
    let mut wire = Wire::connect(proxy.addr()).await;
    let mut status = None;
    is_flat(async {
        wire.say(begin).await;
        for _ in 0..BURSTS {
            wire.say(&burst).await;
        }
        status = wire.answer().await.map(|answer| answer.status());
        wire.rest().await;
    })
    .await;
    assert!(!upstream.got().ends_with("0||"), "it became a request");
    let mut other = Wire::connect(proxy.addr()).await;
    other.say("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(other.answer().await.unwrap().status(), 200);
    status
}

#[tokio::test]
async fn a_target_without_end_is_refused_and_not_kept() {
    let status = explode("GET /", "yyyyyyyy").await;
    assert!(matches!(status, None | Some(414 | 431)), "{status:?}");
}

#[tokio::test]
async fn headers_without_end_are_refused_and_not_kept() {
    for (begin, part) in [
        ("GET / HTTP/1.1\r\nhost: a\r\n", "x: y\r\n"),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: ", "yyyyyyyy"),
        ("GET / HTTP/1.1\r\nhost: a\r\n", "yyyyyyyy"),
    ] {
        let status = explode(begin, part).await;
        assert!(matches!(status, None | Some(431)), "{status:?}");
    }
}

#[tokio::test]
async fn extensions_of_chunks_without_end_are_refused_and_not_kept() {
    for part in ["xxxxxxxx", ";x=y"] {
        let status = explode(&format!("{CHUNKED}2;"), part).await;
        assert!(matches!(status, None | Some(400)), "{status:?}");
    }
    // Many short ones, each with a byte of the body.
    let chunk = format!("1;{}\r\ny\r\n", "x".repeat(100));
    let status = explode(CHUNKED, &chunk).await;
    assert!(matches!(status, None | Some(400)), "{status:?}");
}

#[tokio::test]
async fn trailers_without_end_are_refused_and_not_kept() {
    for part in ["x: y\r\n", "yyyyyyyy"] {
        let status = explode(&format!("{CHUNKED}2\r\nhi\r\n0\r\n"), part).await;
        assert!(matches!(status, None | Some(400 | 431)), "{status:?}");
    }
}
