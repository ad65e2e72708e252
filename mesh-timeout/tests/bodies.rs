//! Limits on bodies: gaps, and the whole exchange.

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{
    BodyExt, Full,
    channel::{Channel, Sender},
};
use mesh_timeout::{
    BodyTimeoutLayer, BoxError, Deadline, Elapsed, Fault, Phase, ProgressBody, Route, TimedBody,
    TimeoutLayer, Timeouts,
};
use std::{convert::Infallible, time::Duration};
use tokio::time::{Instant, sleep};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower_test::mock;

type Live = Channel<Bytes, Infallible>;
type Req = Request<ProgressBody<Live>>;

const MS: Duration = Duration::from_millis(1);

/// An exchange whose head is here: what sends the upload, what reads it, what sends the
/// response, what reads it.
struct Begun {
    upload: Sender<Bytes, Infallible>,
    uploaded: ProgressBody<Live>,
    sender: Sender<Bytes, Infallible>,
    body: TimedBody<Live>,
}

async fn begin(layer: BodyTimeoutLayer, edit: impl FnOnce(&mut Request<Live>)) -> Begun {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, Response<Live>, _>(layer);
    assert_ready_ok!(svc.poll_ready());
    let (upload, body) = Channel::new(8);
    let mut req = Request::new(body);
    edit(&mut req);
    let mut call = task::spawn(svc.call(req));
    let (req, send) = handle.next_request().await.unwrap();
    let (sender, body) = Channel::new(8);
    send.send_response(Response::new(body));
    let rsp = assert_ready_ok!(call.poll());
    Begun {
        upload,
        uploaded: req.into_body(),
        sender,
        body: rsp.into_body(),
    }
}

fn phase(error: &BoxError) -> Phase {
    error.downcast_ref::<Elapsed>().expect("it elapsed").phase()
}

fn data(text: &'static str) -> Frame<Bytes> {
    Frame::data(Bytes::from_static(text.as_bytes()))
}

#[tokio::test(start_paused = true)]
async fn a_silent_body_fails_after_the_gap() {
    let mut it = begin(BodyTimeoutLayer::per_route().with_idle(100 * MS), |_| ()).await;
    it.sender.send(data("a")).await.unwrap();
    assert!(it.body.frame().await.unwrap().is_ok());
    let begun = Instant::now();
    let error = it.body.frame().await.unwrap().unwrap_err();
    assert_eq!(phase(&error), Phase::Idle);
    assert!((100..=101).contains(&begun.elapsed().as_millis()));
    assert!(it.body.frame().await.is_none(), "and is over");
}

#[tokio::test(start_paused = true)]
async fn frames_within_the_gap_keep_it_alive_and_trailers_pass() {
    let mut it = begin(BodyTimeoutLayer::per_route().with_idle(100 * MS), |_| ()).await;
    let sending = async {
        for _ in 0..20 {
            sleep(90 * MS).await;
            it.sender.send(data("a")).await.unwrap();
        }
        let trailers = HeaderMap::from_iter([("sum".parse().unwrap(), 1.into())]);
        it.sender.send(Frame::trailers(trailers)).await.unwrap();
        drop(it.sender);
    };
    let (body, ()) = tokio::join!(it.body.collect(), sending);
    let body = body.unwrap();
    assert_eq!(body.trailers().unwrap()["sum"], "1");
    assert_eq!(body.to_bytes().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_moves_is_not_idle() {
    let mut it = begin(BodyTimeoutLayer::per_route().with_idle(100 * MS), |_| ()).await;
    let uploading = async {
        for _ in 0..10 {
            sleep(90 * MS).await;
            it.upload.send(data("a")).await.unwrap();
            it.uploaded.frame().await.unwrap().unwrap();
        }
        it.sender.send(data("done")).await.unwrap();
    };
    let (frame, ()) = tokio::join!(it.body.frame(), uploading);
    assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "done");
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_is_not_a_slow_sender() {
    let mut it = begin(BodyTimeoutLayer::per_route().with_idle(100 * MS), |_| ()).await;
    sleep(1000 * MS).await;
    let mut frame = task::spawn(it.body.frame());
    assert_pending!(frame.poll());
    drop(frame);
    it.sender.send(data("a")).await.unwrap();
    assert!(it.body.frame().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_always_has_more_does_not_outlive_the_exchange() {
    let layer = BodyTimeoutLayer::per_route().with_exchange(1000 * MS);
    let mut it = begin(layer, |_| ()).await;
    let begun = Instant::now();
    let error = loop {
        it.sender.send(data("a")).await.unwrap();
        sleep(30 * MS).await;
        if let Err(error) = it.body.frame().await.unwrap() {
            break error;
        }
    };
    assert_eq!(phase(&error), Phase::Exchange);
    assert!((1000..1100).contains(&begun.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn the_routes_limits_and_the_callers_deadline_are_obeyed() {
    let mut timeouts = Timeouts::default();
    timeouts.exchange = Some(300 * MS);
    let route = Route::new("r").with_timeouts(timeouts);
    for (left, expected) in [(200, Phase::Deadline), (400, Phase::Exchange)] {
        let deadline = Deadline::default().with_exchange(Instant::now().into_std() + left * MS);
        let mut it = begin(BodyTimeoutLayer::per_route(), |req| {
            req.extensions_mut().insert(route.clone());
            req.extensions_mut().insert(deadline);
        })
        .await;
        let error = it.body.frame().await.unwrap().unwrap_err();
        assert_eq!(phase(&error), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_with_its_exchange() {
    let layer = BodyTimeoutLayer::per_route().with_exchange(100 * MS);
    let mut it = begin(layer, |_| ()).await;
    it.upload.send(data("a")).await.unwrap();
    assert!(it.uploaded.frame().await.unwrap().is_ok());
    let mut uploading = task::spawn(it.uploaded.frame());
    assert_pending!(uploading.poll());
    it.body.frame().await.unwrap().unwrap_err();
    assert!(uploading.is_woken());
    let error = assert_ready!(uploading.poll()).unwrap().unwrap_err();
    assert_eq!(Fault::of(&*error), Some(Fault::Elapsed));
}

#[tokio::test(start_paused = true)]
async fn an_upload_outlives_a_response_that_ends_early() {
    let layer = BodyTimeoutLayer::per_route().with_exchange(100 * MS);
    let mut it = begin(layer, |_| ()).await;
    drop(it.sender);
    assert!(it.body.frame().await.is_none());
    drop(it.body);
    it.upload.send(data("a")).await.unwrap();
    assert!(it.uploaded.frame().await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_upload_ends_when_there_is_no_response() {
    let layer = BodyTimeoutLayer::per_route().with_exchange(100 * MS);
    let (mut svc, mut handle) = mock::spawn_layer::<Req, Response<Live>, _>(layer);
    assert_ready_ok!(svc.poll_ready());
    let (_upload, body) = Channel::new(1);
    let mut call = task::spawn(svc.call(Request::new(body)));
    let (req, send) = handle.next_request().await.unwrap();
    let mut uploaded = req.into_body();
    let mut uploading = task::spawn(uploaded.frame());
    assert_pending!(uploading.poll());
    send.send_error("the endpoint is gone");
    assert!(assert_ready!(call.poll()).is_err());
    assert!(assert_ready!(uploading.poll()).unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn the_exchange_includes_the_wait_for_the_head() {
    let layer = BodyTimeoutLayer::per_route().with_exchange(100 * MS);
    let (mut svc, mut handle) = mock::spawn_layer::<Req, Response<Live>, _>(layer);
    assert_ready_ok!(svc.poll_ready());
    let call = svc.call(Request::new(Channel::new(1).1));
    let (result, _held) = tokio::join!(call, handle.next_request());
    assert_eq!(phase(&result.unwrap_err()), Phase::Exchange);
}

#[tokio::test(start_paused = true)]
async fn one_layer_obeys_the_limit_of_the_head_and_the_callers_deadline() {
    let layer = BodyTimeoutLayer::per_route().with_head(TimeoutLayer::new(50 * MS));
    for (left, expected, is_sent) in [
        (60, Phase::Head, true),
        (40, Phase::Deadline, true),
        (0, Phase::Deadline, false),
    ] {
        let (mut svc, mut handle) = mock::spawn_layer::<Req, Response<Live>, _>(layer);
        assert_ready_ok!(svc.poll_ready());
        let mut req = Request::new(Channel::new(1).1);
        let begun = Instant::now();
        let deadline = Deadline::default().with_exchange(begun.into_std() + left * MS);
        req.extensions_mut().insert(deadline);
        let mut call = Box::pin(svc.call(req));
        let mut sent = task::spawn(handle.next_request());
        let held = sent.poll();
        assert_eq!(held.is_ready(), is_sent);
        let error = (&mut call).await.unwrap_err();
        assert_eq!(phase(&error), expected);
        assert!(begun.elapsed().abs_diff(left.min(50) * MS) <= MS);
    }

    // Past the head only the deadline counts.
    let begun = Instant::now();
    let deadline = Deadline::default().with_exchange(begun.into_std() + 400 * MS);
    let mut it = begin(layer, |req| {
        req.extensions_mut().insert(deadline);
    })
    .await;
    let error = it.body.frame().await.unwrap().unwrap_err();
    assert_eq!(phase(&error), Phase::Deadline);
    assert!(begun.elapsed().abs_diff(400 * MS) <= MS);
}

#[tokio::test(start_paused = true)]
async fn what_a_body_says_of_itself_is_passed_on() {
    type Fixed = Full<Bytes>;
    let layer = BodyTimeoutLayer::per_route().with_idle(MS);
    let (mut svc, mut handle) =
        mock::spawn_layer::<Request<ProgressBody<Fixed>>, Response<Fixed>, _>(layer);
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(Request::new(Fixed::from("hello"))));
    let (req, send) = handle.next_request().await.unwrap();
    assert_eq!(req.body().size_hint().exact(), Some(5));
    send.send_response(Response::new(Fixed::from("world!")));
    let mut body = assert_ready_ok!(call.poll()).into_body();
    assert_eq!(body.size_hint().exact(), Some(6));
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    assert!(body.is_end_stream());
}
