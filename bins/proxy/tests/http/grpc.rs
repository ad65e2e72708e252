//! Calls of gRPC through the sidecars of both ends.

use crate::support::*;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;
use mesh_timeout::parse_timeout;
use std::{convert::Infallible, time::Duration};

/// The default size limit for a message in gRPC's own libraries, in bytes.
const LARGE: usize = 4 << 20;

/// Sends back what it gets, then the status.
async fn echo() -> Upstream {
    Upstream::start(|seen, _| async move {
        let status = (
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        );
        let frames = [
            Frame::data(seen.body),
            Frame::trailers(HeaderMap::from_iter([status])),
        ];
        let frames = tokio_stream::iter(frames.map(Ok::<_, Infallible>));
        Response::builder()
            .header("content-type", "application/grpc")
            .body(StreamBody::new(frames).boxed())
            .unwrap()
    })
    .await
}

/// The sidecar of the server, and that of the client in front of it.
fn sidecars(server: &Upstream) -> (Running, Running) {
    let discovery = Discovery::default();
    let inbound = Running::discovering(config([Role::Inbound(server.addr())]), &discovery);
    let books = destination("books.shop:80", ProfileSpec::default(), &[inbound.addr()]);
    discovery.set("books:80", books);
    let outbound = Running::discovering(config([Role::Outbound]), &discovery);
    (inbound, outbound)
}

/// A call with one message of this many bytes.
fn call(bytes: usize) -> Request<Full<Bytes>> {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(u32::try_from(bytes).unwrap());
    message.extend((0..bytes).map(|n| (n % 251) as u8));
    Request::post("http://books:80/shop.Books/Get")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(message.freeze()))
        .unwrap()
}

#[tokio::test]
async fn a_large_message_passes_both_ways() {
    let server = echo().await;
    let (_inbound, outbound) = sidecars(&server);
    let mut client = Client::http2(outbound.addr()).await;
    let sent = call(LARGE);
    let expected = sent.body().clone().collect().await.unwrap().to_bytes();
    let reply = client.send(sent).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.trailers.unwrap()["grpc-status"], "0");
    // No difference of eight million bytes is worth being printed.
    assert!(server.seen()[0].body == expected, "the request is another");
    assert!(reply.body == expected, "the response is another");
}

#[tokio::test]
async fn the_server_learns_what_is_left_of_the_deadline_of_a_call() {
    let server = echo().await;
    let (_inbound, outbound) = sidecars(&server);
    let mut client = Client::http2(outbound.addr()).await;
    for deadline in ["1H", "49999m", "99999999u"] {
        let mut call = call(1);
        let value = HeaderValue::from_static(deadline);
        call.headers_mut().insert("grpc-timeout", value);
        let begun = tokio::time::Instant::now();
        assert_eq!(client.send(call).await.unwrap().status, 200);
        let seen = server.seen().pop().unwrap().headers;
        assert_eq!(seen.get_all("grpc-timeout").iter().count(), 1);
        assert!(!seen.contains_key("mesh-deadline"));
        let left = parse_timeout(seen["grpc-timeout"].to_str().unwrap()).unwrap();
        let stated = parse_timeout(deadline).unwrap();
        // Eight digits hold what is left of an hour to the millisecond.
        let least = stated - begun.elapsed() - Duration::from_millis(2);
        assert!(least <= left && left < stated, "{left:?} of {deadline}");
    }
}

#[tokio::test]
async fn a_deadline_that_says_nothing_is_passed_on_as_it_is() {
    let server = echo().await;
    let (_inbound, outbound) = sidecars(&server);
    let mut client = Client::http2(outbound.addr()).await;
    let mut call = call(1);
    let value = HeaderValue::from_static("not a deadline");
    call.headers_mut().insert("grpc-timeout", value.clone());
    assert_eq!(client.send(call).await.unwrap().status, 200);
    assert_eq!(server.seen()[0].headers["grpc-timeout"], value);
}
