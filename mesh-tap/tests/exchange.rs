//! The tap above the retries shows what the one below them could not.

mod support;

use http::Request;
use mesh_core::{Attempt, RetrySkipped};
use mesh_tap::{Event, Fault, Filter, Route, Tap};
use std::time::Duration;
use support::{Req, Rsp, Script, get, lines, response};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{BoxError, Layer, Service, ServiceExt, util::BoxCloneService};
use tower_test::mock::{self, Handle};

type Inner = BoxCloneService<Req, http::Response<mesh_tap::TapBody<Script>>, BoxError>;

/// Both taps, and between them a service that makes `attempts` attempts, one after the other,
/// as long as they fail.
fn stack(
    tap: &Tap,
    attempts: u32,
) -> (
    impl Service<Req, Response: std::fmt::Debug, Error = BoxError>,
    Handle<Req, Rsp>,
) {
    let (mock, handle) = mock::pair::<Req, Rsp>();
    let below: Inner = BoxCloneService::new(tap.layer().layer(mock));
    let between = tower::service_fn(move |req: Req| {
        let mut below = below.clone();
        async move {
            let mut result = Err(Fault::NoEndpoint.into());
            let mut attempt = Attempt::first();
            for _ in 0..attempts {
                let mut again = Request::new(());
                *again.extensions_mut() = req.extensions().clone();
                again.extensions_mut().insert(attempt.clone());
                result = below.ready().await?.call(again).await;
                if result.is_ok() {
                    break;
                }
                attempt = attempt.next();
            }
            result
        }
    });
    (tap.exchange().layer(between), handle)
}

#[tokio::test]
async fn what_an_attempt_has_shown_is_not_shown_again() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let (mut svc, mut handle) = stack(&tap, 2);
    let mut call = task::spawn(svc.call(get("/")));
    assert_pending!(call.poll());
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_error(Fault::Refused);
    assert_pending!(call.poll());
    let (_, reply) = handle.next_request().await.unwrap();
    reply.send_response(response(200, Script::empty()));
    assert_ready_ok!(call.poll());

    let seen: Vec<Event> = std::iter::from_fn(|| events.try_next()).collect();
    let attempts: Vec<u32> = seen.iter().map(Event::attempt).collect();
    assert_eq!(attempts, [1, 1, 2, 2, 2]);
}

#[tokio::test]
async fn what_no_attempt_began_is_shown_with_its_reason() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let mut unrelated = tap.subscribe(Filter::new().reason(Fault::Elapsed), 100);
    let (mut svc, _handle) = stack(&tap, 0);
    assert_ready_err!(task::spawn(svc.call(get("/books"))).poll());
    let seen = lines(&mut events);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0], "req 0 :method=GET :authority= :path=/books");
    assert!(
        seen[1].starts_with("end 0 reason=no-endpoint duration="),
        "{}",
        seen[1]
    );
    assert!(lines(&mut unrelated).is_empty());
}

#[tokio::test]
async fn a_response_that_a_layer_made_on_purpose_is_shown_with_its_reason() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let mut injected = tap.subscribe(Filter::new().reason(Fault::Injected), 100);
    let mut svc = tap.exchange().layer(tower::service_fn(|_: Req| async {
        let mut rsp = response(503, Script::empty());
        rsp.extensions_mut().insert(Fault::Injected);
        Ok::<_, BoxError>(rsp)
    }));
    drop(svc.ready().await.unwrap().call(get("/")).await.unwrap());
    let seen = lines(&mut events);
    assert!(seen[1].contains(":status=503"), "{seen:?}");
    assert!(seen[2].contains("reason=injected"), "{seen:?}");
    assert_eq!(lines(&mut injected).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_cuts_an_attempt_off_is_told_once() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let (mut svc, mut handle) = stack(&tap, 1);
    let mut req = get("/");
    let route = Route::new("slow").with_timeout(Duration::from_millis(25));
    req.extensions_mut().insert(route);
    let mut call = task::spawn(svc.call(req));
    assert_pending!(call.poll());
    let _unanswered = handle.next_request().await.unwrap();
    advance(Duration::from_millis(25)).await;
    drop(call);
    let seen = lines(&mut events);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[1].contains("reason=timeout"), "{seen:?}");
}

#[tokio::test]
async fn a_caller_that_goes_away_before_any_attempt_is_shown() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let mut svc = tap.exchange().layer(tower::service_fn(|_: Req| {
        std::future::pending::<Result<Rsp, BoxError>>()
    }));
    let mut call = task::spawn(svc.call(get("/")));
    assert_pending!(call.poll());
    drop(call);
    let seen = lines(&mut events);
    assert!(
        seen[1].starts_with("end 0 reset-error=8 duration="),
        "{seen:?}"
    );
}

#[tokio::test]
async fn nothing_is_put_into_requests_while_nobody_watches() {
    let tap = Tap::new();
    let mut svc = tap
        .exchange()
        .layer(tower::service_fn(|req: Req| async move {
            assert!(req.extensions().is_empty());
            Ok::<_, BoxError>(response(200, Script::empty()))
        }));
    svc.ready().await.unwrap().call(get("/")).await.unwrap();
}

#[tokio::test]
async fn retried_exchanges_can_be_asked_for() {
    let tap = Tap::new();
    let mut retries = tap.subscribe(Filter::new().retried(), 100);
    let (mut svc, mut handle) = stack(&tap, 2);
    let mut call = task::spawn(svc.call(get("/")));
    for _ in 0..2 {
        assert_pending!(call.poll());
        handle
            .next_request()
            .await
            .unwrap()
            .1
            .send_error(Fault::Refused);
    }
    assert_ready_err!(call.poll());
    let seen: Vec<Event> = std::iter::from_fn(|| retries.try_next()).collect();
    assert_eq!(seen.iter().map(Event::attempt).collect::<Vec<_>>(), [2, 2]);
}

#[tokio::test]
async fn a_failure_that_was_not_retried_says_why() {
    for body in [Script::empty(), Script::empty().data("no")] {
        let tap = Tap::new();
        let mut events = tap.subscribe(Filter::new(), 100);
        let mut body = Some(body);
        let below = tap.layer().layer(tower::service_fn(move |_: Req| {
            let rsp = response(503, body.take().expect("one request"));
            async { Ok::<_, BoxError>(rsp) }
        }));
        let retries = below.map_response(|mut rsp: http::Response<_>| {
            rsp.extensions_mut().insert(RetrySkipped::NoBudget);
            rsp
        });
        let rsp = tap
            .exchange()
            .layer(retries)
            .oneshot(get("/"))
            .await
            .unwrap();
        let _ = http_body_util::BodyExt::collect(rsp.into_body()).await;

        let seen = lines(&mut events);
        assert_eq!(seen.len(), 3, "{seen:?}");
        assert!(seen[2].contains(" not-retried=no_budget "), "{seen:?}");
    }
}

#[tokio::test]
async fn an_error_that_was_not_retried_says_why_and_one_that_was_does_not() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let below = tap.layer().layer(tower::service_fn(|_: Req| async {
        Err::<Rsp, BoxError>(Fault::Reset.into())
    }));
    let retries = tower::service_fn(move |req: Req| {
        let below = below.clone();
        async move {
            let mut attempt = Attempt::first();
            for _ in 0..2 {
                let mut again = Request::new(());
                *again.extensions_mut() = req.extensions().clone();
                again.extensions_mut().insert(attempt.clone());
                let result = below.clone().oneshot(again).await;
                assert!(result.is_err());
                attempt = attempt.next();
            }
            attempt.skip(RetrySkipped::BodyIncomplete);
            Err::<Rsp, BoxError>(Fault::Reset.into())
        }
    });
    let result = tap.exchange().layer(retries).oneshot(get("/")).await;
    assert!(result.is_err());

    let seen = lines(&mut events);
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(!seen[1].contains("not-retried"), "{seen:?}");
    let reason = "reason=reset not-retried=body_incomplete ";
    assert!(seen[3].contains(reason), "{seen:?}");
}

#[tokio::test]
async fn an_attempt_whose_caller_goes_away_in_the_pause_after_it_is_shown() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    let below = tap.layer().layer(tower::service_fn(|_: Req| async {
        Err::<Rsp, BoxError>(Fault::Reset.into())
    }));
    let retries = tower::service_fn(move |req: Req| {
        let below = below.clone();
        async move {
            assert!(below.oneshot(req).await.is_err());
            std::future::pending::<Result<Rsp, BoxError>>().await
        }
    });
    let mut svc = tap.exchange().layer(retries);
    let mut call = task::spawn(svc.call(get("/")));
    assert_pending!(call.poll());
    drop(call);
    let seen = lines(&mut events);
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen[1].contains("reason=reset"), "{seen:?}");
}
