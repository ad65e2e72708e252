//! From the mesh to the local application.

use crate::support::*;
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const BOOKS: &str = "books.shop.svc.cluster.local:7002";

#[tokio::test]
async fn requests_count_by_the_route_of_the_name_their_caller_found() {
    let app = Upstream::answering(|n| if n == 0 { 500 } else { 200 }).await;
    let discovery = Discovery::default();
    let timed = profile(|route| {
        // Neither has a meaning here: the caller's side does both.
        route.is_retryable = true;
        route.timeout = Some("1ms".into());
    });
    discovery.set(BOOKS, destination(BOOKS, timed, &[]));
    let proxy = Running::discovering(config([Role::Inbound(app.addr())]), &discovery);

    let mut client = Client::http1(proxy.addr()).await;
    for status in [500, 200] {
        let mut req = client.request("GET", "books:7002", "/books", "");
        let headers = req.headers_mut();
        headers.insert("l5d-dst-canonical", BOOKS.parse().unwrap());
        headers.insert("mesh-attempt", "2".parse().unwrap());
        assert_eq!(client.send(req).await.unwrap().status, status);
    }
    let seen = app.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].headers["host"], "books:7002");
    assert_eq!(seen[0].uri, "/books");
    assert!(!seen[0].headers.contains_key("l5d-dst-canonical"));
    // The application passes it on to what it calls.
    assert!(seen[0].headers.contains_key("mesh-attempt"));

    let metrics = proxy.metrics().await;
    let route = [
        r#"direction="inbound""#,
        r#"dst="books.shop.svc.cluster.local:7002""#,
        r#"rt_route="GET /books""#,
        r#"deployment="web""#,
    ];
    assert_eq!(metrics.sum("route_request_total", &route), 2.0);
    assert_eq!(metrics.sum("route_actual_request_total", &[]), 0.0);
    let target = format!(r#"target_addr="{}""#, app.addr());
    let failed = [
        r#"direction="inbound""#,
        r#"tls="no_identity""#,
        r#"no_tls_reason="loopback""#,
        r#"status_code="500""#,
        r#"classification="failure""#,
        &target,
    ];
    assert_eq!(metrics.sum("response_total", &failed), 1.0);
    assert_eq!(
        metrics.sum(
            "tcp_open_total",
            &[r#"direction="inbound""#, r#"peer="src""#]
        ),
        1.0
    );
}

#[tokio::test]
async fn the_host_names_the_profile_when_no_proxy_did() {
    let app = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    discovery.set("books:7002", destination(BOOKS, profile(|_| {}), &[]));
    let proxy = Running::discovering(config([Role::Inbound(app.addr())]), &discovery);
    Client::http2(proxy.addr())
        .await
        .get("Books:7002", "/books")
        .await
        .unwrap();
    assert_eq!(app.seen()[0].version, http::Version::HTTP_2);
    let metrics = proxy.metrics().await;
    let route = [r#"direction="inbound""#, r#"rt_route="GET /books""#];
    assert_eq!(metrics.sum("route_request_total", &route), 1.0);
}

#[tokio::test]
async fn a_name_that_nobody_knows_makes_no_series_of_its_own() {
    let app = Upstream::answering(|_| 200).await;
    let proxy = Running::discovering(config([Role::Inbound(app.addr())]), &Discovery::default());
    let mut client = Client::http1(proxy.addr()).await;
    for n in 0..20 {
        let reply = client.get(&format!("made-up-{n}"), "/").await.unwrap();
        assert_eq!(reply.status, 200);
    }
    let metrics = proxy.metrics().await;
    assert!(!metrics.0.contains("made-up"));
    assert_eq!(metrics.sum("request_total", &[]), 20.0);
    assert_eq!(app.connections(), 1);
}

#[tokio::test]
async fn an_application_that_is_down_is_a_502_and_two_sidecars_tell_one_story() {
    let mut app = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let inbound = Running::discovering(config([Role::Inbound(app.addr())]), &discovery);
    let books = destination(BOOKS, ProfileSpec::default(), &[inbound.addr()]);
    discovery.set("books:7002", books);
    let outbound = Running::discovering(config([Role::Outbound]), &discovery);

    let mut client = Client::http1(outbound.addr()).await;
    assert_eq!(client.get("books:7002", "/").await.unwrap().status, 200);
    app.stop();
    let reply = loop {
        let reply = client.get("books:7002", "/").await;
        match reply {
            Ok(reply) if reply.status == 502 => break reply,
            // The application may take a moment to be gone.
            Ok(reply) => assert_eq!(reply.status, 200),
            Err(_) => client = Client::http1(outbound.addr()).await,
        }
    };
    // What one proxy tells the other is not for the application.
    assert_eq!(reply.header("l5d-proxy-error"), None);
    assert_eq!(reply.header("l5d-proxy-connection"), None);
    assert_eq!(reply.header("connection"), Some("close"));
    assert!(reply.header("mesh-reason").is_some());
}

/// Number of connections to `port` that the kernel there has not answered.
fn unanswered(port: u16) -> usize {
    // SYN_SENT, as `address:port address:port state`, in hexadecimal.
    let to = format!(":{port:04X} 02 ");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().filter(|line| line.contains(&to)).count()
}

#[tokio::test]
async fn an_application_whose_queue_overflows_is_given_another_chance() {
    let app = tokio::net::TcpSocket::new_v4().unwrap();
    app.bind(any()).unwrap();
    let app = app.listen(1).unwrap();
    let addr = app.local_addr().unwrap();
    let filling: Vec<_> = (0..4)
        .map(|_| tokio::spawn(tokio::net::TcpStream::connect(addr)))
        .collect();
    while unanswered(addr.port()) == 0 {
        tokio::task::yield_now().await;
    }
    let dropped = unanswered(addr.port());
    let mut config = config([Role::Inbound(addr)]);
    // Too short for a packet that the kernel sends again after a second.
    config.limits.connect = Duration::from_millis(700);
    let proxy = Running::start(config);
    let sent = tokio::spawn(get(proxy.addr(), "/"));
    while unanswered(addr.port()) == dropped {
        tokio::task::yield_now().await;
    }
    let serving = tokio::spawn(async move {
        loop {
            let (mut socket, _) = app.accept().await.unwrap();
            tokio::spawn(async move {
                let mut request = [0; 16];
                if matches!(socket.read(&mut request).await, Ok(1..)) {
                    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    socket.write_all(ok).await.unwrap();
                }
            });
        }
    });
    assert_eq!(sent.await.unwrap().status, 200);
    drop(filling);
    serving.abort();
}
