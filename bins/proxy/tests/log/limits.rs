//! Each limit of the table in the documentation is run into, and names its flag.

use crate::Log;
use crate::frames::{END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame, get};
use crate::support::{Discovery, Running, Upstream, answer, any, config, destination, standalone};
use crate::wire::Wire;
use linkerd2_proxy_api::tap::{ObserveRequest, observe_request, tap_client::TapClient};
use mesh_profile::ProfileSpec;
use mesh_proxy::{Limits, Role};
use std::{collections::BTreeSet, time::Duration};
use tokio::net::TcpSocket;

const SHORT: Duration = Duration::from_millis(50);

/// Limits that cause no error message: the peer waits, is dropped or ejected, or is counted.
const QUIET: [&str; 23] = [
    // The server gets its chance to speak.
    "silence-limit",
    // The kernel closes what nobody is at the other end of.
    "keep-alive",
    // What is not used is closed or forgotten.
    "pool-idle",
    "pool-size",
    "destination-idle",
    "max-destinations",
    "series-idle",
    "max-series",
    // Somebody waits, or for less long.
    "max-retry-pause",
    "max-buffer-bytes",
    "max-window-bytes",
    "max-admin-connections",
    // A lost request is of the retry budget.
    "resend-limit",
    // The request is cancelled: its client has left.
    "half-close-limit",
    // A request is sent once: the reason `body_too_large` or `no_memory`.
    "max-retry-body-bytes",
    "max-retry-memory-bytes",
    // The failure is returned: the reason `limit`.
    "max-attempts",
    // An endpoint is left out for a while, or never known.
    "max-failures",
    "max-addresses",
    // Events are dropped and counted.
    "tap-queue",
    // h2's: REFUSED_STREAM, which has no text, and GOAWAY with `too_many_resets` or
    // `too_many_internal_resets`.
    "max-streams",
    "max-resets",
    "max-errors",
];

fn proxy(upstream: &Upstream, change: impl FnOnce(&mut Limits)) -> Running {
    let mut config = standalone(&[upstream]);
    change(&mut config.limits);
    Running::start(config)
}

/// A proxy for a service that has no endpoint.
fn nowhere(change: impl FnOnce(&mut Limits)) -> Running {
    let discovery = Discovery::default();
    let name = "books.shop.svc.cluster.local:7002";
    discovery.set("a", destination(name, ProfileSpec::default(), &[]));
    let mut config = config([Role::Outbound]);
    change(&mut config.limits);
    Running::discovering(config, &discovery)
}

/// Returns the error message that a request with these bytes gets.
async fn told(proxy: &Running, request: &str) -> String {
    let mut wire = Wire::connect(proxy.addr()).await;
    wire.say(request).await;
    let answer = wire.answer().await;
    let error = answer
        .as_ref()
        .and_then(|answer| answer.header("l5d-proxy-error"));
    error.unwrap_or("no answer").to_owned()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A listener that lets nobody in any more, and those who fill it.
async fn full() -> (tokio::net::TcpListener, Vec<tokio::net::TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(any()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(one)) = tokio::time::timeout(SHORT, tokio::net::TcpStream::connect(addr)).await
    {
        queue.push(one);
    }
    (listener, queue)
}

async fn taps(limit: usize) -> String {
    let upstream = Upstream::answering(|_| 200).await;
    let proxy = proxy(&upstream, |limits| limits.taps = limit);
    let uri = format!("http://{}", proxy.admin());
    let channel = tonic::transport::Endpoint::from_shared(uri).unwrap();
    let mut taps = TapClient::new(channel.connect().await.unwrap());
    let all = observe_request::Match {
        r#match: Some(observe_request::r#match::Match::All(Default::default())),
    };
    let request = || ObserveRequest {
        limit: 100,
        r#match: Some(all.clone()),
        ..ObserveRequest::default()
    };
    let mut open = Vec::new();
    loop {
        match taps.observe(request()).await {
            Ok(tap) => open.push(tap),
            Err(status) => return status.message().to_owned(),
        }
        assert!(open.len() <= limit);
    }
}

/// Runs into the limit of `flag` and returns the error message.
async fn run_into(flag: &str, log: &Log) -> String {
    let upstream = Upstream::answering(|_| 200).await;
    match flag {
        "connect-timeout" => {
            let (listener, _queue) = full().await;
            let mut config = standalone(&[]);
            let addr = listener.local_addr().unwrap().to_string();
            config.standalone.as_mut().unwrap().forward = vec![addr];
            config.limits.connect = SHORT;
            told(&Running::start(config), GET).await
        }
        "fail-fast" => told(&nowhere(|limits| limits.fail_fast = SHORT), GET).await,
        "max-waiting" => {
            let proxy = nowhere(|limits| {
                limits.waiting = 1;
                limits.fail_fast = Duration::from_secs(30);
            });
            // One waits, whichever it is.
            tokio::select! {
                told = told(&proxy, GET) => told,
                told = told(&proxy, GET) => told,
            }
        }
        "head-limit" => told(&proxy(&upstream, |limits| limits.head = SHORT), "GET / ").await,
        "body-gap" => {
            let proxy = proxy(&upstream, |limits| limits.body_gap = SHORT);
            told(
                &proxy,
                &GET.replace("\r\n\r\n", "\r\ncontent-length: 9\r\n\r\n"),
            )
            .await
        }
        "max-connections" => {
            let proxy = proxy(&upstream, |limits| limits.connections = 1);
            let mut held = Wire::connect(proxy.addr()).await;
            held.say(GET).await;
            held.answer().await.unwrap();
            told(&proxy, GET).await
        }
        "max-head-bytes" => {
            let proxy = proxy(&upstream, |limits| limits.head_bytes = 9_000);
            let long = format!("\r\nx: {}\r\n\r\n", "y".repeat(10_000));
            told(&proxy, &GET.replace("\r\n\r\n", &long)).await
        }
        "max-headers" => {
            let proxy = proxy(&upstream, |limits| limits.headers = 3);
            told(
                &proxy,
                &GET.replace("\r\n\r\n", "\r\na: b\r\nc: d\r\ne: f\r\n\r\n"),
            )
            .await
        }
        "max-uri-bytes" => {
            let proxy = proxy(&upstream, |limits| limits.uri_bytes = 9);
            told(&proxy, &GET.replace("/ ", "/too/long/ ")).await
        }
        "max-cancels" => {
            let upstream = Upstream::start(|_, _| std::future::pending()).await;
            let proxy = proxy(&upstream, |limits| limits.cancels = 1);
            let mut wire = Wire::http2(proxy.addr(), &[]).await;
            for stream in [1, 3, 5] {
                let request = frame(HEADERS, END_HEADERS | END_STREAM, stream, &get());
                wire.say(request).await;
                wire.say(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()))
                    .await;
            }
            loop {
                let goaway = wire.frame_of(GOAWAY).await.unwrap();
                if goaway.code() != 0 {
                    return String::from_utf8_lossy(&goaway.payload[8..]).into_owned();
                }
            }
        }
        "max-taps" => taps(1).await,
        "detect-limit" => {
            let mut config = config([Role::Outbound]);
            config.limits.detect = SHORT;
            let proxy = Running::start(config);
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say("G").await;
            wire.rest().await;
            log.line(flag).await
        }
        "idle-limit" => {
            let proxy = proxy(&upstream, |limits| limits.idle = SHORT);
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say(GET).await;
            wire.rest().await;
            log.line(flag).await
        }
        "stall-limit" => {
            let large = bytes::Bytes::from(vec![b'x'; 8 << 20]);
            let upstream = Upstream::start(move |_, _| {
                let large = large.clone();
                async move { answer(200, large) }
            })
            .await;
            let proxy = proxy(&upstream, |limits| limits.stall = SHORT);
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say(GET).await;
            log.line(flag).await
        }
        "drain-limit" => {
            let upstream = Upstream::start(|_, _| std::future::pending()).await;
            let proxy = proxy(&upstream, |limits| limits.drain = SHORT);
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say(GET).await;
            while upstream.seen().is_empty() {
                tokio::task::yield_now().await;
            }
            proxy.shut_down();
            log.line(flag).await
        }
        _ => panic!("what says --{flag}?"),
    }
}

/// The flags of the table.
fn flags() -> BTreeSet<String> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../docs/headers-and-limits.md"
    );
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().filter_map(|line| line.split('|').nth(3));
    let flags = rows.filter_map(|cell| cell.trim().strip_prefix("`--")?.split_once('`'));
    flags.map(|(flag, _)| flag.to_owned()).collect()
}

#[tokio::test]
async fn each_limit_in_the_table_is_named_by_the_error_that_it_causes() {
    let log = Log::keep();
    let flags = flags();
    assert!(flags.len() > 30, "{flags:?}");
    let quiet: BTreeSet<_> = QUIET.map(str::to_owned).into();
    assert!(quiet.is_subset(&flags));
    for flag in flags.difference(&quiet) {
        let saying = run_into(flag, &log);
        let said = tokio::time::timeout(Duration::from_secs(20), saying).await;
        let said = said.unwrap_or_else(|_| panic!("nothing says --{flag}"));
        assert!(said.contains(&format!("--{flag}")), "--{flag}: {said}");
    }
}
