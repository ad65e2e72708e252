//! Calls of gRPC-web and Connect: their status is in the last frame of the body, and so is that of
//! errors of the mesh.

use crate::support::*;
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::Full;
use mesh_core::StatusReader;
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;
use tokio::net::TcpListener;

const WEB: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text+proto";
const STREAM: &str = "application/connect+json";

fn call(client: &Client, kind: &str) -> Request<Full<Bytes>> {
    let mut req = client.request("POST", "books", "/books", "");
    req.headers_mut()
        .insert("content-type", kind.parse().unwrap());
    req
}

/// The status in the last frame of a body.
fn status(reply: &Reply) -> Option<String> {
    let mut reader = StatusReader::of(&reply.headers)?;
    reader.read(&reply.body);
    let status = reader.trailers()?.get("grpc-status")?;
    Some(status.to_str().unwrap().to_owned())
}

/// A sidecar in front of an endpoint that refuses connections.
async fn refusing() -> Running {
    let listener = TcpListener::bind(any()).await.unwrap();
    let addr = listener.local_addr().unwrap();
    drop(listener);
    let discovery = Discovery::default();
    let books = destination("books.shop:80", ProfileSpec::default(), &[addr]);
    discovery.set("books", books);
    Running::discovering(config([Role::Outbound]), &discovery)
}

#[tokio::test]
async fn an_error_comes_in_the_protocol_of_the_caller() {
    let proxy = refusing().await;
    for mut client in [
        Client::http1(proxy.addr()).await,
        Client::http2(proxy.addr()).await,
    ] {
        for kind in [WEB, TEXT, STREAM] {
            // An error closes its connection of HTTP/1.
            if matches!(client, Client::Http1(_)) {
                client = Client::http1(proxy.addr()).await;
            }
            let reply = client.send(call(&client, kind)).await.unwrap();
            assert_eq!(reply.status, 200, "{kind}: {reply:?}");
            assert_eq!(reply.header("content-type"), Some(kind));
            assert_eq!(status(&reply).as_deref(), Some("14"), "{kind}: {reply:?}");
            assert_eq!(reply.header("mesh-reason"), Some("connect-refused"));
            assert!(reply.header("l5d-proxy-error").is_some());
        }
        if matches!(client, Client::Http1(_)) {
            client = Client::http1(proxy.addr()).await;
        }
        let mut req = call(&client, "application/proto");
        req.headers_mut()
            .insert("connect-protocol-version", "1".parse().unwrap());
        let reply = client.send(req).await.unwrap();
        assert_eq!(reply.status, 502);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        let error: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(error["code"], "unavailable");
        assert_eq!(error["message"], reply.header("l5d-proxy-error").unwrap());
    }
}

/// A frame of the body: flags and payload.
fn framed(flags: u8, payload: &[u8]) -> Bytes {
    let mut bytes = vec![flags];
    bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes.into()
}

/// The last frame of a call that fails with 14, UNAVAILABLE.
fn unavailable(kind: &str) -> Bytes {
    match kind {
        STREAM => framed(2, br#"{"error":{"code":"unavailable"}}"#),
        _ => framed(0x80, b"grpc-status: 14\r\n"),
    }
}

#[tokio::test]
async fn a_failure_in_the_body_is_one_for_statistics_of_both_sidecars() {
    for kind in [WEB, STREAM] {
        let server = Upstream::start(move |_, _| async move {
            let frames = [framed(0, b"x"), unavailable(kind)];
            streamed(kind, frames.map(Frame::data))
        })
        .await;
        let discovery = Discovery::default();
        let inbound = Running::discovering(config([Role::Inbound(server.addr())]), &discovery);
        let books = destination("books.shop:80", profile(|_| {}), &[inbound.addr()]);
        discovery.set("books.shop:80", books.clone());
        discovery.set("books", books);
        let outbound = Running::discovering(config([Role::Outbound]), &discovery);
        let mut client = Client::http2(outbound.addr()).await;
        let reply = client.send(call(&client, kind)).await.unwrap();
        assert_eq!(status(&reply).as_deref(), Some("14"));
        for proxy in [&outbound, &inbound] {
            let metrics = proxy.metrics().await;
            let failed = [r#"classification="failure""#, r#"grpc_status="14""#];
            assert_eq!(
                metrics.sum("response_total", &failed),
                1.0,
                "{kind}: {}",
                metrics.0
            );
            let failed = &failed[..1];
            assert_eq!(
                metrics.sum("route_response_total", failed),
                1.0,
                "{kind}: {}",
                metrics.0
            );
        }
    }
}

#[tokio::test]
async fn a_call_that_fails_before_its_first_message_is_sent_again() {
    for kind in [WEB, STREAM] {
        let server = Upstream::start(move |_, number| async move {
            let ends = match (number, kind) {
                (0, _) => unavailable(kind),
                (_, STREAM) => framed(2, b"{}"),
                _ => framed(0x80, b"grpc-status: 0\r\n"),
            };
            streamed(kind, [Frame::data(ends)])
        })
        .await;
        let discovery = Discovery::default();
        let retryable = profile(|route| route.is_retryable = true);
        let books = destination("books.shop:80", retryable, &[server.addr()]);
        discovery.set("books", books);
        let proxy = Running::discovering(config([Role::Outbound]), &discovery);
        let mut client = Client::http1(proxy.addr()).await;
        let reply = client.send(call(&client, kind)).await.unwrap();
        assert_eq!(status(&reply).as_deref(), Some("0"), "{kind}: {reply:?}");
        assert_eq!(server.seen().len(), 2, "{kind}");
    }
}

#[tokio::test]
async fn a_stream_of_grpc_web_ends_at_its_deadline_with_a_last_frame() {
    let server = Upstream::start(|_, _| async {
        let message = Frame::data(framed(0, b"x"));
        unending(WEB, [message])
    })
    .await;
    let discovery = Discovery::default();
    let books = destination("books.shop:80", ProfileSpec::default(), &[server.addr()]);
    discovery.set("books", books);
    let proxy = Running::discovering(config([Role::Outbound]), &discovery);
    for mut client in [
        Client::http1(proxy.addr()).await,
        Client::http2(proxy.addr()).await,
    ] {
        let mut req = call(&client, WEB);
        req.headers_mut()
            .insert("grpc-timeout", "200m".parse().unwrap());
        let reply = client.send(req).await.unwrap();
        assert!(reply.body.starts_with(b"\0\0\0\0\x01x"), "{reply:?}");
        assert_eq!(status(&reply).as_deref(), Some("4"), "{reply:?}");
        assert_eq!(reply.trailers, None);
    }
}
