//! Retries: which requests, how many, and the reasons in responses that are not retried.

mod support;

use http::{HeaderValue, Method};
use mesh_retry::{
    Attempt, BoxError, Exhausted, Fault, OnRetryable, Retries, RetryLayer, RetrySkipped, Route,
};
use std::sync::{Arc, Mutex};
use support::*;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};

#[tokio::test(start_paused = true)]
async fn a_failure_is_retried_until_it_succeeds() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));

    next(&mut handle).await.1.send_response(status(503));
    assert_pending!(call.poll());

    next(&mut handle).await.1.send_response(status(200));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.status(), 200);
    assert!(rsp.extensions().get::<RetrySkipped>().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_method_that_is_not_idempotent_is_sent_once() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::POST)));

    let (req, send) = next(&mut handle).await;
    assert!(Attempt::of(&req).is_none());
    send.send_response(status(503));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.status(), 503);
    assert!(rsp.extensions().get::<RetrySkipped>().is_none());
}

#[tokio::test(start_paused = true)]
async fn per_route_ignores_the_method_and_obeys_the_route() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));
    next(&mut handle).await.1.send_response(status(503));
    assert_eq!(assert_ready_ok!(call.poll()).status(), 503);

    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(empty())));
    next(&mut handle).await.1.send_response(status(503));
    assert_pending!(call.poll());
    next(&mut handle).await.1.send_response(status(201));
    assert_eq!(assert_ready_ok!(call.poll()).status(), 201);
}

#[tokio::test(start_paused = true)]
async fn three_tries_are_the_most_and_the_last_says_so() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));
    for code in [500, 502] {
        next(&mut handle).await.1.send_response(status(code));
        assert_pending!(call.poll());
        // The second retry waits for its backoff.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        assert_pending!(call.poll());
    }
    next(&mut handle).await.1.send_response(status(503));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.status(), 503);
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::Limit));
    assert_eq!(rsp.headers()["mesh-no-retry"], "limit");
}

#[tokio::test(start_paused = true)]
async fn a_route_is_retried_as_often_as_its_own_limit() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let mut req = request(Method::POST);
    let route = Route::new("r").with_retry_policy(Retries::default().with_limit(1));
    req.extensions_mut().insert(route);
    let mut call = task::spawn(svc.call(req));
    next(&mut handle).await.1.send_response(status(500));
    assert_pending!(call.poll());
    next(&mut handle).await.1.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::Limit));
}

#[tokio::test(start_paused = true)]
async fn a_route_without_a_limit_is_retried_while_the_budget_lasts() {
    let layer = RetryLayer::per_route(budget(0.0, 5)).max_attempts(100);
    let (mut svc, mut handle) = spawn(layer);
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(empty())));
    for _ in 0..50 {
        next(&mut handle).await.1.send_response(status(500));
        assert_pending!(call.poll());
    }
    next(&mut handle).await.1.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::NoBudget));
    assert_eq!(rsp.headers()["mesh-no-retry"], "no_budget");
}

#[tokio::test(start_paused = true)]
async fn one_request_cannot_take_the_whole_budget_of_its_service() {
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 5)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(empty())));
    for _ in 1..RetryLayer::MAX_ATTEMPTS {
        next(&mut handle).await.1.send_response(status(500));
        assert_pending!(call.poll());
    }
    next(&mut handle).await.1.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::Limit));
    assert_eq!(rsp.headers()["mesh-no-retry"], "limit");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_knows_its_number_and_where_the_others_went() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 1)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));

    let (req, send) = next(&mut handle).await;
    let attempt = Attempt::of(&req).unwrap();
    assert_eq!(attempt.number(), 1);
    assert!(!req.headers().contains_key("mesh-attempt"));
    let endpoint = "127.0.0.1:1".parse().unwrap();
    attempt.note(endpoint);
    send.send_response(status(500));
    assert_pending!(call.poll());

    let (req, _send) = next(&mut handle).await;
    let attempt = Attempt::of(&req).unwrap();
    assert_eq!(attempt.number(), 2);
    assert_eq!(attempt.tried(), [endpoint]);
    assert_eq!(req.headers()["mesh-attempt"], "2");
}

#[tokio::test(start_paused = true)]
async fn each_attempt_carries_what_the_request_carried() {
    for extra in [None, Some(7_u8)] {
        let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(0.0, 2)));
        assert_ready_ok!(svc.poll_ready());
        let mut req = retryable(empty());
        req.headers_mut()
            .insert("accept", HeaderValue::from_static("*/*"));
        if let Some(extra) = extra {
            req.extensions_mut().insert(extra);
        }
        let mut call = task::spawn(svc.call(req));
        for code in [503, 503, 200] {
            let (req, send) = next(&mut handle).await;
            assert_eq!((req.method(), req.uri().path()), (&Method::POST, "/books"));
            assert_eq!(req.headers()["accept"], "*/*");
            assert_eq!(Route::of(&req).map(Route::name), Some("POST /books"));
            assert_eq!(req.extensions().get(), extra.as_ref());
            send.send_response(status(code));
            let _ = call.poll();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_somebody_above_is_no_original_and_is_counted_on() {
    let budget = budget(1.0, 0);
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget.clone()));
    assert_ready_ok!(svc.poll_ready());
    let mut req = request(Method::GET);
    req.headers_mut()
        .insert("mesh-attempt", HeaderValue::from_static("2"));
    let mut call = task::spawn(svc.call(req));
    let (req, send) = next(&mut handle).await;
    assert_eq!(req.headers()["mesh-attempt"], "2");
    send.send_response(status(500));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::NoBudget));

    // The other client's original gives the budget something to withdraw.
    budget.deposit(tokio::time::Instant::now().into_std());
    assert_ready_ok!(svc.poll_ready());
    let mut req = request(Method::GET);
    req.headers_mut()
        .insert("mesh-attempt", HeaderValue::from_static("2"));
    let mut call = task::spawn(svc.call(req));
    next(&mut handle).await.1.send_response(status(500));
    assert_pending!(call.poll());
    assert_eq!(next(&mut handle).await.0.headers()["mesh-attempt"], "3");
}

#[tokio::test(start_paused = true)]
async fn a_response_whose_retries_are_exhausted_below_is_not_retried() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));
    let mut rsp = status(503);
    rsp.headers_mut()
        .insert("mesh-no-retry", HeaderValue::from_static("no_budget"));
    next(&mut handle).await.1.send_response(rsp);
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(rsp.extensions().get(), Some(&RetrySkipped::Refused));
    assert_eq!(rsp.headers()["mesh-no-retry"], "no_budget");
}

#[tokio::test(start_paused = true)]
async fn an_error_is_retried_if_its_fault_is_and_kept_if_not() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));
    next(&mut handle).await.1.send_error(Fault::Refused);
    assert_pending!(call.poll());
    next(&mut handle).await.1.send_error(Fault::NoEndpoint);
    let error: BoxError = assert_ready_err!(call.poll());
    assert_eq!(Fault::of(&*error), Some(Fault::NoEndpoint));
}

#[tokio::test(start_paused = true)]
async fn an_error_whose_retries_are_exhausted_says_so_and_reads_as_before() {
    for (budget, attempts, reason) in [
        (budget(0.001, 0), 3, RetrySkipped::NoBudget),
        (budget(0.0, 10), 1, RetrySkipped::Limit),
    ] {
        let (mut svc, mut handle) = spawn(RetryLayer::new(budget).max_attempts(attempts));
        assert_ready_ok!(svc.poll_ready());
        let mut call = task::spawn(svc.call(request(Method::GET)));
        let (req, reply) = next(&mut handle).await;
        let attempt = Attempt::of(&req).unwrap().clone();
        reply.send_error(Fault::Refused);
        let error: BoxError = assert_ready_err!(call.poll());
        let exhausted = Exhausted::of(&*error).expect("it has the reason");
        assert_eq!(exhausted.reason(), reason);
        // Observers of the attempt see the reason, too.
        assert_eq!(attempt.skipped(), Some(reason));
        assert_eq!(Fault::of(&*error), Some(Fault::Refused));
        assert_eq!(error.to_string(), Fault::Refused.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_that_no_retry_could_have_helped_is_left_as_it_is() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.001, 0)));
    for (method, fault) in [
        (Method::GET, Fault::NoEndpoint),
        (Method::POST, Fault::Refused),
    ] {
        assert_ready_ok!(svc.poll_ready());
        let mut call = task::spawn(svc.call(request(method)));
        next(&mut handle).await.1.send_error(fault);
        let error: BoxError = assert_ready_err!(call.poll());
        assert_eq!(error.downcast_ref(), Some(&fault));
    }
}

#[tokio::test(start_paused = true)]
async fn the_hook_hears_of_every_failure_that_could_be_retried() {
    type Heard = Arc<Mutex<Vec<(Option<String>, Option<RetrySkipped>)>>>;
    let heard = Heard::default();
    let hook: OnRetryable = {
        let heard = heard.clone();
        Arc::new(move |route, skipped| {
            let route = route.map(|route| route.name().to_owned());
            heard.lock().unwrap().push((route, skipped));
        })
    };
    let (mut svc, mut handle) = spawn(RetryLayer::per_route(budget(1.0, 0)).on_retryable(hook));
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(retryable(empty())));
    for _ in 0..2 {
        next(&mut handle).await.1.send_response(status(500));
        let _ = call.poll();
    }
    let route = Some("POST /books".to_owned());
    assert_eq!(
        *heard.lock().unwrap(),
        [(route.clone(), None), (route, Some(RetrySkipped::NoBudget))]
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_that_always_fails_at_once_leaves_others_their_turn() {
    let svc = tower::service_fn(async |_: Req| Ok::<_, BoxError>(status(500)));
    let layer = RetryLayer::per_route(budget(0.0, 1_000_000)).max_attempts(u32::MAX);
    let svc = tower::Layer::layer(&layer, svc);
    let call = tower::ServiceExt::oneshot(svc, retryable(empty()));
    let mut call = task::spawn(call);
    for _ in 0..10 {
        assert_pending!(call.poll());
        assert!(call.is_woken());
    }
}

#[tokio::test(start_paused = true)]
async fn an_upgrade_is_never_repeated() {
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 10)));
    assert_ready_ok!(svc.poll_ready());
    let mut req = request(Method::GET);
    req.headers_mut()
        .insert("upgrade", HeaderValue::from_static("websocket"));
    let mut call = task::spawn(svc.call(req));
    next(&mut handle).await.1.send_response(status(503));
    assert_eq!(assert_ready_ok!(call.poll()).status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_the_service_is_polled_before_it_is_called() {
    // The mock panics when it is called without having been polled; `allow(1)` makes the second
    // attempt wait for its turn.
    let (mut svc, mut handle) = spawn(RetryLayer::new(budget(0.0, 10)));
    handle.allow(1);
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(Method::GET)));
    next(&mut handle).await.1.send_response(status(503));
    assert_pending!(call.poll());
    handle.allow(1);
    assert!(call.is_woken());
    assert_pending!(call.poll());
    next(&mut handle).await.1.send_response(status(200));
    assert_eq!(assert_ready_ok!(call.poll()).status(), 200);
}

#[test]
fn a_service_that_can_be_sent_to_other_threads_stays_so() {
    fn is_send<T: Send>(_: T) {}
    let (mut svc, _handle) = spawn(RetryLayer::new(budget(0.0, 10)));
    is_send(svc.get_ref().clone());
    assert_ready_ok!(svc.poll_ready());
    is_send(svc.call(request(Method::POST)));
}
