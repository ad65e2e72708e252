//! Floods: whoever sends them gets nowhere, and the memory stays where it was.

use crate::{
    frames::{
        ACK, CONTINUATION, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS, PING,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, headers,
    },
    support::{Client, Running, Upstream, answer, standalone},
    wire::Wire,
};
use bytes::Bytes;
use std::time::Duration;

/// Bytes that this process, tests and upstream included, may grow by. Each flood would take far
/// more if its bytes were kept.
const FLAT: u64 = 64 << 20;

fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .strip_suffix(" kB")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    kib * 1024
}

async fn upstream() -> (Upstream, Running) {
    let upstream = Upstream::start(|_, _| async { answer(200, "ok") }).await;
    let proxy = Running::start(standalone(&[&upstream]));
    (upstream, proxy)
}

/// Sends `burst` until the proxy closes, or has taken all of `times`. The GOAWAY's code, if any.
async fn flood(wire: &mut Wire, burst: &[u8], times: usize) -> Option<u32> {
    is_flat(async {
        for _ in 0..times {
            wire.say(burst).await;
        }
    })
    .await;
    // After a last word that a living connection answers.
    wire.say(frame(PING, 0, 0, b"the last")).await;
    loop {
        let frame = wire.frame().await?;
        match frame.kind {
            GOAWAY => return Some(frame.code()),
            PING if frame.flags == ACK && frame.payload == b"the last" => return None,
            _ => {}
        }
    }
}

/// Panics if memory grows by what is done.
pub(crate) async fn is_flat(done: impl Future<Output = ()>) {
    let before = resident();
    done.await;
    let grown = resident().saturating_sub(before);
    assert!(grown < FLAT, "grown by {grown} bytes");
}

/// Others are served meanwhile.
pub(crate) async fn is_alive(proxy: &Running) {
    let mut client = Client::http2(proxy.addr()).await;
    assert_eq!(client.get("a", "/").await.unwrap().status, 200);
}

#[tokio::test]
async fn a_rapid_reset_ends_the_connection() {
    let (upstream, proxy) = upstream().await;
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    let mut burst = Vec::new();
    for n in 0..2_000_u32 {
        burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &get()));
        burst.extend(frame(RST_STREAM, 0, n * 2 + 1, &8_u32.to_be_bytes()));
    }
    let code = flood(&mut wire, &burst, 1).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(upstream.seen().len() < 200);
    is_alive(&proxy).await;
}

#[tokio::test]
async fn a_head_without_end_ends_the_connection() {
    let (upstream, proxy) = upstream().await;
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    wire.say(frame(HEADERS, END_STREAM, 1, &get())).await;
    let value = "y".repeat(126);
    let lines: Vec<_> = (0..100).map(|_| ("x", &*value)).collect();
    let burst = frame(CONTINUATION, 0, 1, &headers(&lines)).repeat(100);
    // 130 MB of headers.
    let code = flood(&mut wire, &burst, 100).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(upstream.seen().is_empty());
    is_alive(&proxy).await;
}

#[tokio::test]
async fn a_head_that_is_small_on_the_wire_alone_is_refused() {
    let (upstream, proxy) = upstream().await;
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    // A header of 4,000 bytes that is kept in the table (RFC 7541, 6.2.1), then its number.
    let mut bomb = get();
    bomb.extend([0x40, 1, b'x', 0x7f]);
    bomb.extend([0xa1, 0x1e]);
    bomb.extend([b'y'; 4_000]);
    bomb.extend([0xbe; 12_000]);
    let mut burst = Vec::new();
    for n in 0..100_u32 {
        burst.extend(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &bomb));
    }
    // 4.8 GB of headers.
    let code = flood(&mut wire, &burst, 1).await;
    assert!(
        code.is_none_or(|code| code == ENHANCE_YOUR_CALM || code == 1),
        "{code:?}"
    );
    assert!(upstream.seen().is_empty());
    is_alive(&proxy).await;
}

#[tokio::test]
async fn empty_continuations_end_the_connection() {
    let (upstream, proxy) = upstream().await;
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    wire.say(frame(HEADERS, END_STREAM, 1, &get())).await;
    let burst = frame(CONTINUATION, 0, 1, b"").repeat(1_000);
    let code = flood(&mut wire, &burst, 100).await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM));
    assert!(upstream.seen().is_empty());
    is_alive(&proxy).await;
}

#[tokio::test]
async fn floods_of_settings_and_pings_whose_answers_nobody_reads_are_held_back() {
    let (_upstream, proxy) = upstream().await;
    let settings = [0, 4, 0, 0, 255, 255];
    for one in [
        frame(SETTINGS, 0, 0, &settings),
        frame(SETTINGS, 0, 0, &settings.repeat(100)),
        frame(PING, 0, 0, b"12345678"),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
    ] {
        let mut wire = Wire::http2(proxy.addr(), &[]).await;
        let burst = one.repeat(10_000);
        is_flat(async {
            for _ in 0..50 {
                // The proxy stops reading when its answers are not read.
                let saying = tokio::time::timeout(Duration::from_millis(200), wire.say(&burst));
                if saying.await.is_err() {
                    break;
                }
            }
        })
        .await;
    }
    is_alive(&proxy).await;
}

#[tokio::test]
async fn streams_above_the_limit_are_refused() {
    let upstream = Upstream::start(|_, _| std::future::pending()).await;
    let mut config = standalone(&[&upstream]);
    config.limits.streams = 5;
    let proxy = Running::start(config);
    let mut wire = Wire::http2(proxy.addr(), &[]).await;
    // Its settings must have arrived: before, a client may not know.
    let advertised = wire.frame_of(SETTINGS).await.unwrap().payload;
    let max_streams = [0, 3, 0, 0, 0, 5];
    assert!(advertised.chunks(6).any(|one| one == max_streams));
    wire.say(frame(SETTINGS, ACK, 0, b"")).await;
    for n in 0..6_u32 {
        wire.say(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &get()))
            .await;
    }
    let refused = wire.frame_of(RST_STREAM).await.unwrap();
    // REFUSED_STREAM: it may be sent again.
    assert_eq!((refused.stream, refused.code()), (11, 7));
}

#[tokio::test]
async fn a_window_that_stays_shut_holds_little_and_not_for_ever() {
    let large = Bytes::from(vec![b'x'; 8 << 20]);
    let upstream = Upstream::start(move |_, _| {
        let large = large.clone();
        async move { answer(200, large) }
    })
    .await;
    let mut config = standalone(&[&upstream]);
    config.limits.stall = Duration::from_millis(200);
    let proxy = Running::start(config);
    // SETTINGS_INITIAL_WINDOW_SIZE is 0.
    let mut wire = Wire::http2(proxy.addr(), &[(4, 0)]).await;
    is_flat(async {
        for n in 0..100_u32 {
            wire.say(frame(HEADERS, END_HEADERS | END_STREAM, n * 2 + 1, &get()))
                .await;
        }
        // 800 MB wait to be read; the proxy gives up.
        while wire.frame().await.is_some() {}
    })
    .await;
    let reply = Client::http2(proxy.addr())
        .await
        .get("a", "/")
        .await
        .unwrap();
    assert_eq!(reply.body.len(), 8 << 20);
}
