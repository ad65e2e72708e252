//! Failures that show only in trailers, and pauses that a server asks for.

mod support;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, channel::Channel};
use mesh_retry::{Backoff, Retries, RetryLayer, RetrySkipped, Route};
use std::time::{Duration, SystemTime};
use support::*;
use tokio::time::Instant;
use tokio_test::{assert_pending, assert_ready_ok, task};

#[tokio::test(start_paused = true)]
async fn a_grpc_failure_in_trailers_is_retried() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(grpc()));
    let rsp = trailing(&[("grpc-status", "14")]);
    next(&mut handle).await.1.send_response(rsp);
    assert_pending!(call.poll());

    let rsp = trailing(&[("grpc-status", "0")]);
    next(&mut handle).await.1.send_response(rsp);
    let rsp = assert_ready_ok!(call.poll());
    let body = rsp.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
}

#[tokio::test(start_paused = true)]
async fn a_grpc_failure_in_the_head_is_retried() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(grpc()));
    let mut rsp = status(200);
    rsp.headers_mut().insert("grpc-status", 14.into());
    next(&mut handle).await.1.send_response(rsp);
    assert_pending!(call.poll());
    next(&mut handle).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_silent_after_its_head_is_handed_back_at_once() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let (mut sender, body) = Channel::new(1);
    let begun = Instant::now();
    let call = tokio::spawn(svc.call(grpc()));
    let (_, send) = next(&mut handle).await;
    send.send_response(Response::new(Body::new(body)));

    let rsp = call.await.unwrap().unwrap();
    assert!(begun.elapsed() <= Duration::from_millis(11));

    tokio::time::sleep(Duration::from_secs(60)).await;
    sender
        .send(Frame::data(Bytes::from_static(b"hello")))
        .await
        .unwrap();
    drop(sender);
    assert_eq!(rsp.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test(start_paused = true)]
async fn the_first_message_of_a_grpc_response_is_not_lost() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(grpc()));
    next(&mut handle)
        .await
        .1
        .send_response(Response::new(full("message")));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(http_body::Body::size_hint(rsp.body()).exact(), Some(7));
    assert_eq!(
        rsp.into_body().collect().await.unwrap().to_bytes(),
        "message"
    );
}

#[tokio::test(start_paused = true)]
async fn a_response_of_plain_http_is_not_looked_into() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));
    let rsp = trailing(&[("grpc-status", "14")]);
    next(&mut handle).await.1.send_response(rsp);
    assert_ready_ok!(call.poll());
}

/// A call of gRPC-web as text, or its response, with `body`.
fn web<T>(mut message: T, headers: impl Fn(&mut T) -> &mut http::HeaderMap) -> T {
    let kind = "application/grpc-web-text".parse().unwrap();
    headers(&mut message).insert("content-type", kind);
    message
}

#[tokio::test(start_paused = true)]
async fn a_grpc_web_failure_before_the_first_message_is_retried() {
    // Status 14; the same with a push-back of 300 ms; a message.
    for (body, pause) in [
        ("gAAAAA5ncnBjLXN0YXR1czoxNA==", Some(0)),
        (
            "gAAAACpncnBjLXN0YXR1czoxNA0KZ3JwYy1yZXRyeS1wdXNoYmFjay1tczozMDA=",
            Some(300),
        ),
        ("AAAAAAF4", None),
    ] {
        let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
        assert_ready_ok!(svc.poll_ready());
        let begun = Instant::now();
        let call = tokio::spawn(svc.call(web(grpc(), Request::headers_mut)));
        let rsp = web(Response::new(full(body)), Response::headers_mut);
        next(&mut handle).await.1.send_response(rsp);
        if let Some(pause) = pause {
            next(&mut handle).await.1.send_response(status(200));
            assert!((pause..=pause + 1).contains(&begun.elapsed().as_millis()));
        }
        let rsp = call.await.unwrap().unwrap();
        let read = rsp.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(read, if pause.is_some() { "" } else { body });
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_back_in_trailers_sets_the_pause_or_forbids_the_retry() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let begun = Instant::now();
    let call = tokio::spawn(svc.call(grpc()));
    let rsp = trailing(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "300")]);
    next(&mut handle).await.1.send_response(rsp);

    let (_, send) = next(&mut handle).await;
    assert!((300..=301).contains(&begun.elapsed().as_millis()));
    let rsp = trailing(&[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")]);
    send.send_response(rsp);
    let rsp = call.await.unwrap().unwrap();
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::Refused));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_before_the_first_retry_and_capped() {
    let tomorrow = SystemTime::now() + Duration::from_secs(86_400);
    let tomorrow = httpdate::fmt_http_date(tomorrow);
    for (asked, waited) in [("1", 1), ("86400", 5), (&*tomorrow, 5)] {
        let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 10)));
        assert_ready_ok!(svc.poll_ready());
        let begun = Instant::now();
        let call = tokio::spawn(svc.call(request(Method::GET)));
        let mut rsp = status(503);
        rsp.headers_mut()
            .insert("retry-after", asked.parse().unwrap());
        next(&mut handle).await.1.send_response(rsp);
        next(&mut handle).await.1.send_response(status(200));
        call.await.unwrap().unwrap();
        assert_eq!(begun.elapsed().as_secs(), waited, "asked for {asked}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_would_outlast_the_timeout_is_not_begun() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let mut req = request(Method::GET);
    let route = Route::new("r")
        .with_retries()
        .with_timeout(Duration::from_millis(500));
    req.extensions_mut().insert(route);
    let mut call = task::spawn(svc.call(req));
    let mut rsp = status(503);
    rsp.headers_mut().insert("retry-after", 1.into());
    next(&mut handle).await.1.send_response(rsp);
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.status(), 503);
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::Limit));
}

#[tokio::test(start_paused = true)]
async fn the_first_retry_is_sent_at_once_and_the_others_wait() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let backoff = Backoff {
        min: Duration::from_millis(100),
        max: Duration::from_millis(200),
    };
    let mut req = request(Method::GET);
    let retries = Retries::default().with_backoff(backoff);
    req.extensions_mut()
        .insert(Route::new("r").with_retry_policy(retries));
    let _call = tokio::spawn(svc.call(req));
    for (least, most) in [(0, 0), (0, 0), (50, 101), (100, 201), (100, 201)] {
        let begun = Instant::now();
        let (_, send) = next(&mut handle).await;
        let waited = begun.elapsed().as_millis();
        assert!((least..=most).contains(&waited), "waited {waited} ms");
        send.send_response(status(500));
    }
}
