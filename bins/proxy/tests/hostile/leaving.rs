//! Clients that have not heard yet that the proxy leaves.

use crate::{
    frames::{ACK, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, SETTINGS, frame, get},
    support::{Running, Upstream, answer, standalone},
    wire::Wire,
};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The largest number of a stream: no limit yet.
const ANY: u32 = (1 << 31) - 1;
const NO_ERROR: u32 = 0;

#[tokio::test]
async fn a_drain_says_goaway_twice_and_serves_what_was_sent_between() {
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let upstream = Upstream::start(move |_, _| {
        let gate = closed.clone();
        async move {
            let _permit = gate.acquire().await;
            answer(200, "late")
        }
    })
    .await;
    let proxy = Running::start(standalone(&[&upstream]));
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let request = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &get());
    wire.say(request(1)).await;
    while upstream.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    proxy.shut_down();

    // First only: it will be over. What is on its way by then still counts.
    let goaway = wire.frame_of(GOAWAY).await.unwrap();
    assert_eq!((goaway.last_stream(), goaway.code()), (ANY, NO_ERROR));
    // Its answer proves that the client has read that far.
    let ping = wire.frame_of(PING).await.unwrap();
    assert_eq!(ping.flags, 0);
    wire.say(request(3)).await;
    wire.say(frame(SETTINGS, ACK, 0, b"")).await;
    wire.say(frame(PING, ACK, 0, &ping.payload)).await;
    let goaway = wire.frame_of(GOAWAY).await.unwrap();
    assert_eq!((goaway.last_stream(), goaway.code()), (3, NO_ERROR));

    // Too late: the client knows, and has to ask somebody else.
    wire.say(request(5)).await;
    gate.add_permits(10);
    let mut answered = Vec::new();
    while let Some(frame) = wire.frame().await {
        assert_ne!(frame.kind, GOAWAY, "a third one");
        if frame.flags & END_STREAM > 0 && frame.kind <= HEADERS {
            answered.push(frame.stream);
        }
    }
    answered.sort_unstable();
    assert_eq!(answered, [1, 3]);
    assert_eq!(upstream.seen().len(), 2);
    proxy.ended().await;
}
