//! Limits on the response head, the route's and the caller's.

use http::Request;
use mesh_timeout::{
    AcceptDeadlineLayer, BoxError, Deadline, Elapsed, Fault, Phase, PropagateDeadlineLayer, Route,
    TimeoutLayer, Timeouts,
};
use std::time::Duration;
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower_test::mock;

type Req = Request<()>;

const MS: Duration = Duration::from_millis(1);

fn with_route(head: Option<Duration>, attempt: Option<Duration>) -> Req {
    let mut timeouts = Timeouts::default();
    (timeouts.head, timeouts.attempt) = (head, attempt);
    let mut req = Request::new(());
    req.extensions_mut()
        .insert(Route::new("r").with_timeouts(timeouts));
    req
}

fn phase_and_limit(error: &BoxError) -> (Phase, Duration) {
    let elapsed: &Elapsed = error.downcast_ref().expect("it elapsed");
    (elapsed.phase(), elapsed.limit())
}

/// Sends `req` through `layer` to a service that never answers, and waits.
async fn never_answered(layer: TimeoutLayer, req: Req) -> (Duration, BoxError) {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, (), _>(layer);
    assert_ready_ok!(svc.poll_ready());
    let begun = Instant::now();
    let call = svc.call(req);
    let (error, _held) = tokio::join!(call, handle.next_request());
    (begun.elapsed(), error.unwrap_err())
}

#[tokio::test(start_paused = true)]
async fn the_routes_limit_wins_over_the_default() {
    let layer = TimeoutLayer::new(50 * MS);
    let (after, error) = never_answered(layer, with_route(Some(200 * MS), None)).await;
    assert!((200..=201).contains(&after.as_millis()));
    assert_eq!(phase_and_limit(&error), (Phase::Head, 200 * MS));
    assert_eq!(Fault::of(&*error), Some(Fault::Elapsed));
}

#[tokio::test(start_paused = true)]
async fn the_default_applies_where_the_route_says_nothing() {
    for req in [Request::new(()), with_route(None, None)] {
        let (_, error) = never_answered(TimeoutLayer::new(50 * MS), req).await;
        assert_eq!(phase_and_limit(&error), (Phase::Head, 50 * MS));
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_a_limit_of_its_own() {
    let req = with_route(Some(200 * MS), Some(20 * MS));
    let (_, error) = never_answered(TimeoutLayer::per_attempt(), req).await;
    assert_eq!(phase_and_limit(&error), (Phase::Attempt, 20 * MS));
}

#[tokio::test(start_paused = true)]
async fn the_time_for_all_tries_of_a_retryable_route_ends_its_retries() {
    let ends_retries = async |layer: TimeoutLayer, route: Route| {
        let mut req = Request::new(());
        req.extensions_mut().insert(route);
        let (_, error) = never_answered(layer, req).await;
        error.downcast_ref::<Elapsed>().unwrap().ends_retries()
    };
    let route = || Route::new("r").with_timeout(50 * MS);
    assert!(ends_retries(TimeoutLayer::per_route(), route().with_retries()).await);
    assert!(ends_retries(TimeoutLayer::new(MS), Route::new("r").with_retries()).await);
    assert!(!ends_retries(TimeoutLayer::per_route(), route()).await);

    let mut limits = Timeouts::default();
    limits.attempt = Some(50 * MS);
    let route = Route::new("r").with_timeouts(limits).with_retries();
    assert!(!ends_retries(TimeoutLayer::per_attempt(), route).await);
}

#[tokio::test(start_paused = true)]
async fn the_smaller_of_the_routes_limit_and_the_callers_deadline_counts() {
    for (left, expected) in [
        (30, (Phase::Deadline, 30 * MS)),
        (300, (Phase::Head, 200 * MS)),
    ] {
        let mut req = with_route(Some(200 * MS), None);
        let at = Instant::now().into_std() + left * MS;
        req.extensions_mut()
            .insert(Deadline::default().with_head(at));
        let (_, error) = never_answered(TimeoutLayer::per_route(), req).await;
        assert_eq!(phase_and_limit(&error), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_limit_waits_for_ever() {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, u8, _>(TimeoutLayer::per_route());
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(Request::new(())));
    let (_, send) = handle.next_request().await.unwrap();
    assert_pending!(call.poll());
    advance(Duration::from_secs(86_400)).await;
    assert!(!call.is_woken(), "there is no timer");
    send.send_response(7);
    assert_eq!(assert_ready_ok!(call.poll()), 7);
}

#[test]
fn an_answer_that_is_there_needs_no_timer_and_no_runtime() {
    let svc = tower::service_fn(async |_: Req| Ok::<_, BoxError>(7));
    let mut svc = tower::Layer::layer(&TimeoutLayer::new(MS), svc);
    let mut call = task::spawn(tower::Service::call(&mut svc, Request::new(())));
    assert_eq!(assert_ready_ok!(call.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_the_last_moment_is_an_answer() {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, u8, _>(TimeoutLayer::new(MS));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(Request::new(())));
    assert_pending!(call.poll());
    advance(5 * MS).await;
    handle.next_request().await.unwrap().1.send_response(7);
    assert_eq!(assert_ready_ok!(call.poll()), 7);
}

#[tokio::test(start_paused = true)]
async fn work_whose_deadline_has_passed_is_refused() {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, (), _>(AcceptDeadlineLayer::new());
    assert_ready_ok!(svc.poll_ready());
    let req = Request::builder()
        .header("grpc-timeout", "0n")
        .body(())
        .unwrap();
    let mut call = task::spawn(svc.call(req));
    let error = assert_ready_err!(call.poll());
    assert_eq!(phase_and_limit(&error).0, Phase::Deadline);
    assert_pending!(task::spawn(handle.next_request()).poll());
}

#[tokio::test(start_paused = true)]
async fn time_spent_in_a_queue_counts() {
    let stamped = {
        let (mut svc, mut handle) = mock::spawn_layer::<Req, (), _>(AcceptDeadlineLayer::new());
        assert_ready_ok!(svc.poll_ready());
        let req = Request::builder()
            .header("mesh-deadline", "100m")
            .body(())
            .unwrap();
        let _call = task::spawn(svc.call(req));
        handle.next_request().await.unwrap().0
    };
    advance(100 * MS).await;
    let (mut svc, _handle) = mock::spawn_layer::<Req, (), _>(AcceptDeadlineLayer::again());
    assert_ready_ok!(svc.poll_ready());
    assert_ready_err!(task::spawn(svc.call(stamped)).poll());
}

#[tokio::test(start_paused = true)]
async fn the_next_hop_is_told_what_is_left() {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, (), _>(PropagateDeadlineLayer::new());
    let now = Instant::now().into_std();
    let deadline = Deadline::default()
        .with_head(now + 100 * MS)
        .with_exchange(now + 500 * MS);
    advance(40 * MS).await;
    for (content_type, whole) in [("application/grpc", Some("460000u")), ("text/plain", None)] {
        let mut req = Request::builder()
            .header("content-type", content_type)
            .body(())
            .unwrap();
        req.extensions_mut().insert(deadline);
        assert_ready_ok!(svc.poll_ready());
        let _call = task::spawn(svc.call(req));
        let (req, _) = handle.next_request().await.unwrap();
        assert_eq!(req.headers()["mesh-deadline"], "60000000n");
        let seen = req.headers().get("grpc-timeout");
        assert_eq!(seen.map(|value| value.to_str().unwrap()), whole);
    }
}

/// Returns the headers with times that are sent for `deadline` if the request had `said`.
async fn stated(deadline: Deadline, said: &[(&'static str, &str)]) -> [Option<String>; 2] {
    let (mut svc, mut handle) = mock::spawn_layer::<Req, (), _>(PropagateDeadlineLayer::new());
    let builder = Request::builder();
    let builder = said.iter().fold(builder, |b, (k, v)| b.header(*k, *v));
    let mut req = builder.body(()).unwrap();
    req.extensions_mut().insert(deadline);
    assert_ready_ok!(svc.poll_ready());
    let _call = task::spawn(svc.call(req));
    let (req, _) = handle.next_request().await.unwrap();
    ["grpc-timeout", "mesh-deadline"].map(|name| {
        let value = req.headers().get(name);
        value.map(|value| value.to_str().unwrap().to_owned())
    })
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_stated_once_and_nothing_stale_stays() {
    let now = Instant::now().into_std();
    let grpc = ("content-type", "application/grpc");
    let whole = Deadline::default().with_exchange(now + 100 * MS);
    let both = whole.with_head(now + 200 * MS);
    let left = Some("100000u".to_owned());
    for (deadline, said, expected) in [
        (whole, &[grpc][..], [left.clone(), None]),
        (both, &[grpc, ("mesh-deadline", "9S")], [left.clone(), None]),
        (whole, &[("grpc-timeout", "9S")], [left.clone(), None]),
        (whole, &[], [None, left.clone()]),
    ] {
        assert_eq!(stated(deadline, said).await, expected, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_applied_here_is_announced_if_asked_for() {
    let layers = tower::ServiceBuilder::new()
        .layer(TimeoutLayer::new(100 * MS).announce())
        .layer(PropagateDeadlineLayer::new());
    let (mut svc, mut handle) = mock::spawn_layer::<Req, (), _>(layers);
    assert_ready_ok!(svc.poll_ready());
    let _call = task::spawn(svc.call(Request::new(())));
    let (req, _) = handle.next_request().await.unwrap();
    assert!(req.headers().contains_key("mesh-deadline"));
}

#[tokio::test(start_paused = true)]
async fn server_sent_events_outlive_the_limit_on_the_head() {
    let (sender, body) = http_body_util::channel::Channel::<bytes::Bytes>::new(1);
    let mut body = Some(body);
    let mut svc = tower::ServiceBuilder::new()
        .layer(TimeoutLayer::new(100 * MS))
        .layer(TimeoutLayer::per_attempt().with_default(100 * MS))
        .service(tower::service_fn(|_: Req| {
            let body = body.take().expect("one request");
            async { Ok::<_, BoxError>(http::Response::new(body)) }
        }));
    let rsp = tower::Service::call(&mut svc, Request::new(()))
        .await
        .unwrap();
    let events = tokio::spawn(async move {
        let mut sender = sender;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            sender.send_data("data: tick\n\n".into()).await.unwrap();
        }
    });
    let all = http_body_util::BodyExt::collect(rsp.into_body())
        .await
        .unwrap();
    assert_eq!(all.to_bytes().len(), 3 * 12);
    events.await.unwrap();
}
