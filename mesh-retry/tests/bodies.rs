//! Request bodies, as a retried service meets them.

mod support;

use bytes::Bytes;
use http::Request;
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, channel::Channel};
use mesh_retry::{RetryLayer, RetrySkipped, Route};
use support::*;
use tokio_test::{assert_pending, assert_ready_ok, task};

#[tokio::test(start_paused = true)]
async fn every_attempt_sends_the_whole_body() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(full("hello"))));
    for _ in 0..3 {
        let (req, send) = next(&mut handle).await;
        assert_eq!(req.body().size_hint().exact(), Some(5));
        assert_eq!(req.into_body().collect().await.unwrap().to_bytes(), "hello");
        send.send_response(status(500));
        assert_pending!(call.poll());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_was_never_read_is_sent_by_the_next_attempt() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(full("hello"))));
    let (req, send) = next(&mut handle).await;
    drop(req);
    send.send_response(status(500));
    assert_pending!(call.poll());
    let (req, _) = next(&mut handle).await;
    assert_eq!(req.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test(start_paused = true)]
async fn a_large_body_is_sent_once() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)).max_body(4));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(full("hello"))));
    let (req, send) = next(&mut handle).await;
    assert_eq!(req.into_body().collect().await.unwrap().to_bytes(), "hello");
    send.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::BodyTooLarge));
    assert!(
        !rsp.headers().contains_key("mesh-no-retry"),
        "a caller's body may be smaller"
    );
}

#[tokio::test(start_paused = true)]
async fn a_content_length_above_the_limit_is_believed() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let (_sender, body) = Channel::new(1);
    let mut req = Request::put("/").header("content-length", "65537");
    req.extensions_mut()
        .unwrap()
        .insert(Route::new("r").with_retries());
    let mut call = task::spawn(svc.call(req.body(Body::new(body)).unwrap()));
    next(&mut handle).await.1.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::BodyTooLarge));
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_still_runs_when_the_response_comes_is_not_repeated() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let (mut sender, body) = Channel::new(2);
    let mut call = task::spawn(svc.call(retryable(Body::new(body))));
    let (req, send) = next(&mut handle).await;
    let mut upload = req.into_body();
    sender
        .send(Frame::data(Bytes::from_static(b"some")))
        .await
        .unwrap();
    upload.frame().await.unwrap().unwrap();
    send.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::BodyIncomplete));

    // And it goes on undisturbed.
    sender
        .send(Frame::data(Bytes::from_static(b"more")))
        .await
        .unwrap();
    drop(sender);
    assert_eq!(upload.collect().await.unwrap().to_bytes(), "more");
}
