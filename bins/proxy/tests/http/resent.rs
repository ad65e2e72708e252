//! A resend outside the budget is the same request to its last byte.

use crate::recorder::{OK, Recorder, UNREAD};
use crate::support::{
    Client, Discovery, Peer, Running, any, config, destination, frames::*, profile,
};
use crate::wire::Wire;
use mesh_profile::ProfileSpec;
use mesh_proxy::{Role, Standalone};
use tokio::net::TcpListener;

/// Requests in which there is something to lose: targets, hosts, names said twice, what ends here.
const REQUESTS: [&str; 5] = [
    "GET /books?a=1&b=%20 HTTP/1.1\r\nHost: books:80\r\nX-Own: 1\r\nCookie: a=1\r\nAccept: */*\r\n\
     cookie: b=2\r\nauthorization: secret\r\nx-empty:\r\nx-odd: a: b, \"c\"ä\r\n\r\n",
    "GET http://books:80/books HTTP/1.1\r\nHost: other:1\r\nte: trailers\r\n\
     connection: keep-alive, x-hop\r\nx-hop: 1\r\nmesh-attempt: 2\r\n\r\n",
    "GET http://books:80/books HTTP/1.0\r\nconnection: keep-alive\r\n\r\n",
    "DELETE http://user@books:80/books HTTP/1.1\r\nHost: books:80\r\nl5d-dst-canonical: x\r\n\r\n",
    "OPTIONS /books HTTP/1.1\r\nHost: Books:80\r\ncontent-length: 0\r\n\r\n",
];

const FAILED: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";

fn retryable(is_retryable: bool) -> ProfileSpec {
    profile(|route| {
        route.is_retryable = is_retryable;
        route.timeout = Some("20s".into());
    })
}

/// The requests that `recorder` got, each with its last line.
fn heads(recorder: &Recorder) -> Vec<String> {
    let got = recorder.got();
    got.split_inclusive("||").map(str::to_owned).collect()
}

/// In front of `recorder`, with all that a destination of the mesh has.
fn meshed(recorder: &Recorder, profile: ProfileSpec) -> Running {
    let discovery = Discovery::default();
    let destination = destination("books.shop:80", profile, &[recorder.addr()]);
    discovery.set("books:80", destination);
    Running::discovering(config([Role::Outbound]), &discovery)
}

#[tokio::test]
async fn what_a_used_connection_left_unread_is_sent_again_to_its_last_byte() {
    for is_retryable in [true, false] {
        for request in REQUESTS {
            // Answers the first, closes with the second unread, and gets that once more.
            let script = |n| if n == 1 { UNREAD.to_vec() } else { OK.to_vec() };
            let upstream = Recorder::answering(script).await;
            let proxy = meshed(&upstream, retryable(is_retryable));
            for _ in 0..2 {
                let mut wire = Wire::connect(proxy.addr()).await;
                wire.say(latin1(request)).await;
                assert_eq!(wire.answer().await.unwrap().status(), 200, "{request}");
            }
            let heads = heads(&upstream);
            assert_eq!(heads.len(), 3, "{heads:?}");
            assert_eq!(heads[1], heads[0]);
            assert_eq!(heads[2], heads[1]);
            assert_eq!(upstream.connections().len(), 2);
            assert!(heads[2].contains("|l5d-dst-canonical: books.shop:80|"));
            let metrics = proxy.metrics().await;
            assert_eq!(metrics.sum("request_resent_total", &[]), 1.0);
            assert_eq!(metrics.sum("route_actual_request_total", &[]), 2.0);
        }
    }
}

fn latin1(text: &str) -> Vec<u8> {
    let byte = |c| u8::try_from(u32::from(c)).expect("a character of one byte");
    text.chars().map(byte).collect()
}

#[tokio::test]
async fn what_is_sent_again_states_the_deadline_that_was_stated() {
    let heads_of = async |is_retryable, head: &str| {
        let script = |n| if n == 1 { UNREAD.to_vec() } else { OK.to_vec() };
        let upstream = Recorder::answering(script).await;
        let proxy = meshed(&upstream, retryable(is_retryable));
        for _ in 0..2 {
            let mut wire = Wire::connect(proxy.addr()).await;
            wire.say(format!(
                "GET /books HTTP/1.1\r\nHost: books:80\r\n{head}\r\n"
            ))
            .await;
            assert_eq!(wire.answer().await.unwrap().status(), 200);
        }
        let metrics = proxy.metrics().await;
        assert_eq!(metrics.sum("request_resent_total", &[]), 1.0);
        heads(&upstream)
    };
    for is_retryable in [true, false] {
        for said in [
            "mesh-deadline: 15S\r\n",
            "grpc-timeout: 15S\r\n",
            "content-type: application/grpc\r\ngrpc-timeout: 15S\r\na: b\r\n",
        ] {
            let heads = heads_of(is_retryable, said).await;
            assert_eq!(heads[1], heads[2]);
            assert!(!heads[1].contains("15S"), "{heads:?}");
        }
    }
}

#[tokio::test]
async fn a_retry_that_is_sent_again_still_says_that_it_is_one() {
    // Fails the first, which is retried; leaves the retry unread.
    let script = |n| match n {
        0 => FAILED.to_vec(),
        1 => UNREAD.to_vec(),
        _ => OK.to_vec(),
    };
    for request in &REQUESTS[..2] {
        let upstream = Recorder::answering(script).await;
        let proxy = meshed(&upstream, retryable(true));
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say(latin1(request)).await;
        assert_eq!(wire.answer().await.unwrap().status(), 200);
        let heads = heads(&upstream);
        assert_eq!(heads.len(), 3, "{heads:?}");
        assert_ne!(heads[1], heads[0]);
        assert_eq!(heads[2], heads[1]);
        // One of the two is the retry of somebody else's retry.
        let number = 2 + usize::from(request.contains("mesh-attempt"));
        assert!(heads[2].contains(&format!("|mesh-attempt: {number}|")));
        let metrics = proxy.metrics().await;
        assert_eq!(metrics.sum("request_resent_total", &[]), 1.0);
        assert_eq!(metrics.sum("route_actual_request_total", &[]), 2.0);
    }
}

#[tokio::test]
async fn without_a_name_the_host_is_empty_both_times() {
    let script = |n| if n == 1 { UNREAD.to_vec() } else { OK.to_vec() };
    let upstream = Recorder::answering(script).await;
    let mut config = config([Role::Forward]);
    config.standalone = Some(Standalone {
        forward: vec![upstream.addr().to_string()],
        profile: None,
    });
    let proxy = Running::start(config);
    for _ in 0..2 {
        let mut wire = Wire::connect(proxy.addr()).await;
        wire.say("GET /x HTTP/1.0\r\na: b\r\n\r\n").await;
        assert_eq!(wire.answer().await.unwrap().status(), 200);
    }
    let expected = "GET /x HTTP/1.1|a: b|host: ||";
    assert_eq!(heads(&upstream), [expected; 3]);
}

#[tokio::test]
async fn what_one_endpoint_refused_comes_to_another_to_its_last_byte() {
    const REFUSED: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\nl5d-proxy-error: gone\r\n\
        mesh-reason: connect-refused\r\ncontent-length: 0\r\n\r\n";
    const POST: &str =
        "POST http://books:80/books HTTP/1.1\r\nHost: x\r\ncontent-length: 0\r\n\r\n";
    for is_retryable in [true, false] {
        for request in [REQUESTS[0], REQUESTS[1], POST] {
            let refuses = Recorder::answering(|_| REFUSED.to_vec()).await;
            let other = Recorder::start().await;
            let discovery = Discovery::default();
            let endpoints = [refuses.addr(), other.addr()];
            let profile = retryable(is_retryable);
            discovery.set(
                "books:80",
                destination("books.shop:80", profile, &endpoints),
            );
            let proxy = Running::discovering(config([Role::Outbound]), &discovery);
            let mut sent = 0.0;
            while heads(&refuses).is_empty() {
                let mut wire = Wire::connect(proxy.addr()).await;
                wire.say(latin1(request)).await;
                assert_eq!(wire.answer().await.unwrap().status(), 200);
                sent += 1.0;
            }
            assert_eq!(heads(&refuses).last(), heads(&other).last());
            let metrics = proxy.metrics().await;
            assert_eq!(metrics.sum("route_actual_request_total", &[]), sent);
        }
    }
}

#[tokio::test]
async fn over_http2_it_is_the_same_too() {
    for is_retryable in [true, false] {
        let listener = TcpListener::bind(any()).await.unwrap();
        let discovery = Discovery::default();
        let addrs = [listener.local_addr().unwrap()];
        let destination = destination("books.shop:80", retryable(is_retryable), &addrs);
        discovery.set("books:80", destination);
        let proxy = Running::discovering(config([Role::Outbound]), &discovery);
        let server = tokio::spawn(async move {
            let mut peer = Peer::accept(&listener).await;
            let (.., stream, first) = peer.read().await.unwrap();
            peer.write(HEADERS, LAST | END_HEADERS, stream, STATUS_200)
                .await;
            peer.leave_unread().await;
            let mut peer = Peer::accept(&listener).await;
            let (.., stream, again) = peer.read().await.unwrap();
            peer.write(HEADERS, LAST | END_HEADERS, stream, STATUS_200)
                .await;
            // On a new connection, HPACK's table is as empty as it was then.
            assert_eq!(again, first);
        });
        let mut client = Client::http2(proxy.addr()).await;
        let mut req = client.request("GET", "books:80", "/books?a", "");
        for (name, value) in [("x-own", "1"), ("cookie", "a"), ("te", "trailers")] {
            req.headers_mut().append(name, value.parse().unwrap());
        }
        req.headers_mut().append("cookie", "b".parse().unwrap());
        for _ in 0..2 {
            assert_eq!(client.send(req.clone()).await.unwrap().status, 200);
        }
        server.await.unwrap();
        let metrics = proxy.metrics().await;
        assert_eq!(metrics.sum("request_resent_total", &[]), 1.0);
        assert_eq!(metrics.sum("route_actual_request_total", &[]), 2.0);
    }
}
