//! Faults as the caller sees them, with the clock paused.

use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use mesh_fault::{
    BoxError, Fault, FaultBody, Faults, Faulty, Injected, InjectedReset, Injection, Kind,
    MAX_INJECTIONS, Route, Share,
};
use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Waker},
    time::Duration,
};
use tokio::time::{Instant, advance};
use tokio_test::{assert_pending, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};
use tower_test::mock;

type Rsp = Response<Full<&'static [u8]>>;
type Books = BoxCloneSyncService<Request<()>, Rsp, Infallible>;
type Answer = Result<Response<FaultBody<Full<&'static [u8]>>>, BoxError>;

const MS: Duration = Duration::from_millis(1);

/// A service that answers everything, below `faults`; and the count of its calls.
fn books(faults: &Faults) -> (Faulty<Books>, Arc<AtomicU64>) {
    let calls = Arc::<AtomicU64>::default();
    let count = calls.clone();
    let inner = tower::service_fn(move |_: Request<()>| {
        count.fetch_add(1, Relaxed);
        async { Ok(Response::new(Full::new(&b"a book"[..]))) }
    });
    (faults.layer().layer(BoxCloneSyncService::new(inner)), calls)
}

async fn ask(books: &mut Faulty<Books>, req: Request<()>) -> Answer {
    books.ready().await?.call(req).await
}

async fn statuses(books: &mut Faulty<Books>, n: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..n {
        let rsp = ask(books, Request::new(())).await.unwrap();
        statuses.push(rsp.status().as_u16());
    }
    statuses
}

fn unavailable() -> Injection {
    Injection::status(StatusCode::SERVICE_UNAVAILABLE).unwrap()
}

fn percent(percent: f64) -> Share {
    Share::percent(percent).unwrap()
}

#[tokio::test(start_paused = true)]
async fn ten_percent_of_a_hundred_requests_are_ten() {
    let faults = Faults::new();
    let (mut books, calls) = books(&faults);
    let id = faults.add(unavailable().with_share(percent(10.0))).unwrap();
    let seen = statuses(&mut books, 100).await;
    assert_eq!(seen.iter().filter(|&&status| status == 503).count(), 10);
    assert_eq!(calls.load(Relaxed), 90);

    let [active] = &faults.list()[..] else {
        panic!("one injection")
    };
    assert_eq!((active.id, active.matched, active.injected), (id, 100, 10));
    assert!(faults.totals().contains(&(Kind::Status, 10)));
}

#[tokio::test(start_paused = true)]
async fn clones_and_layers_are_exact_together() {
    let faults = Faults::new();
    let (books_a, _) = books(&faults);
    let (books_b, _) = books(&faults);
    faults.add(unavailable().with_share(percent(5.0))).unwrap();
    let mut failed = 0;
    for turn in 0..200 {
        let mut clone = if turn % 3 == 0 { &books_a } else { &books_b }.clone();
        let rsp = ask(&mut clone, Request::new(())).await.unwrap();
        failed += u32::from(rsp.status() == 503);
    }
    assert_eq!(failed, 10);
}

#[tokio::test(start_paused = true)]
async fn a_removed_injection_is_gone_at_the_next_request() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    let id = faults.add(unavailable()).unwrap();
    assert_eq!(statuses(&mut books, 2).await, [503, 503]);
    assert!(faults.remove(id));
    assert!(!faults.remove(id));
    assert_eq!(statuses(&mut books, 2).await, [200, 200]);
    assert!(faults.totals().contains(&(Kind::Status, 2)));

    faults.add(unavailable()).unwrap();
    faults.clear();
    assert_eq!(statuses(&mut books, 1).await, [200]);
    assert!(faults.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_injection_ends_by_itself() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    let injection = unavailable().with_duration(300 * MS).unwrap();
    faults.add(injection).unwrap();
    assert_eq!(statuses(&mut books, 1).await, [503]);
    advance(299 * MS).await;
    assert_eq!(faults.list()[0].remaining, Some(MS));
    assert_eq!(statuses(&mut books, 1).await, [503]);
    advance(MS).await;
    assert_eq!(statuses(&mut books, 1).await, [200]);
    assert!(faults.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn only_the_named_route_is_injected_into() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    faults
        .add(unavailable().with_route("GET /books/{id}.json"))
        .unwrap();
    let routed = |name: &str| {
        let mut req = Request::new(());
        req.extensions_mut().insert(Route::new(name));
        req
    };
    for (req, status) in [
        (Request::new(()), 200),
        (routed("GET /books.json"), 200),
        (routed("GET /books/{id}.json"), 503),
    ] {
        assert_eq!(ask(&mut books, req).await.unwrap().status(), status);
    }
    assert_eq!(faults.list()[0].matched, 1);

    faults.clear();
    faults
        .add(unavailable().with_route(Route::DEFAULT_NAME))
        .unwrap();
    let rsp = ask(&mut books, Request::new(())).await.unwrap();
    assert_eq!(rsp.status(), 503);
}

#[tokio::test(start_paused = true)]
async fn a_delay_comes_before_the_call() {
    let faults = Faults::new();
    let (mut books, calls) = books(&faults);
    faults.add(Injection::delay(250 * MS).unwrap()).unwrap();
    let begun = Instant::now();
    books.ready().await.unwrap();
    let mut call = task::spawn(books.call(Request::new(())));
    assert_pending!(call.poll());
    advance(249 * MS).await;
    assert_pending!(call.poll());
    assert_eq!(calls.load(Relaxed), 0);
    let rsp = call.await.unwrap();
    assert!((250..=251).contains(&begun.elapsed().as_millis()));
    assert_eq!(Injected::of(&rsp).unwrap().kind(), Kind::Delay);
    // A late answer is the service's own.
    assert_eq!(rsp.extensions().get::<Fault>(), None);
    assert_eq!(
        rsp.into_body().collect().await.unwrap().to_bytes(),
        "a book"
    );
}

#[tokio::test(start_paused = true)]
async fn delays_of_a_range_stay_within_it() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    let delay = Injection::delay_between(200 * MS..=2_000 * MS).unwrap();
    faults.add(delay).unwrap();
    let mut seen = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        ask(&mut books, Request::new(())).await.unwrap();
        seen.push(begun.elapsed());
    }
    assert!(
        seen.iter()
            .all(|took| (200 * MS..=2_001 * MS).contains(took))
    );
    assert!(seen.iter().min().unwrap() < &(300 * MS));
    assert!(seen.iter().max().unwrap() > &(1_900 * MS));
}

#[tokio::test(start_paused = true)]
async fn no_delay_outlives_its_injection() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    let delay = Injection::delay(10_000 * MS).unwrap();
    faults.add(delay.with_duration(300 * MS).unwrap()).unwrap();
    let begun = Instant::now();
    ask(&mut books, Request::new(())).await.unwrap();
    assert!((300..=301).contains(&begun.elapsed().as_millis()));
}

#[tokio::test(start_paused = true)]
async fn delays_add_up_and_the_first_error_decides() {
    let faults = Faults::new();
    let (mut books, calls) = books(&faults);
    faults.add(Injection::delay(100 * MS).unwrap()).unwrap();
    faults.add(Injection::delay(50 * MS).unwrap()).unwrap();
    let decides = faults.add(unavailable()).unwrap();
    faults.add(Injection::reset()).unwrap();
    let begun = Instant::now();
    let rsp = ask(&mut books, Request::new(())).await.unwrap();
    assert!((150..=152).contains(&begun.elapsed().as_millis()));
    assert_eq!(rsp.status(), 503);
    assert_eq!(Injected::of(&rsp).unwrap().id(), decides);
    assert_eq!(calls.load(Relaxed), 0);
    // The reset was never reached, and its share is of what reaches it.
    assert_eq!(faults.list()[3].matched, 0);
}

#[tokio::test(start_paused = true)]
async fn an_injected_error_is_seen_by_those_who_know_only_the_core() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    faults.add(unavailable()).unwrap();
    let rsp = ask(&mut books, Request::new(())).await.unwrap();
    assert_eq!(rsp.extensions().get(), Some(&Fault::Injected));
    assert!(rsp.body().is_end_stream());
    assert_eq!(rsp.body().size_hint().exact(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_grpc_error_is_for_grpc_calls_alone() {
    let faults = Faults::new();
    let (mut books, _) = books(&faults);
    faults.add(Injection::grpc_status(14).unwrap()).unwrap();
    assert_eq!(statuses(&mut books, 1).await, [200]);
    for (asked, answered) in [
        ("application/grpc+proto", "application/grpc"),
        ("application/grpc-web+proto", "application/grpc-web+proto"),
    ] {
        let mut req = Request::new(());
        let kind = HeaderValue::from_static(asked);
        req.headers_mut().insert("content-type", kind);
        let rsp = ask(&mut books, req).await.unwrap();
        assert_eq!(rsp.status(), 200);
        assert_eq!(rsp.headers()["content-type"], answered);
        assert_eq!(rsp.headers()["grpc-status"], "14");
        assert_eq!(Injected::of(&rsp).unwrap().kind(), Kind::GrpcStatus);
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_an_injected_fault() {
    let faults = Faults::new();
    let (mut books, calls) = books(&faults);
    let id = faults.add(Injection::reset()).unwrap();
    let error = ask(&mut books, Request::new(())).await.unwrap_err();
    assert_eq!(Fault::of(&*error), Some(Fault::Injected));
    assert_eq!(InjectedReset::of(&*error).unwrap().injected().id(), id);
    assert_eq!(
        error.to_string(),
        format!("reset on purpose by injection {id}")
    );
    assert_eq!(calls.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_request_that_is_dropped_is_never_sent() {
    let faults = Faults::new();
    faults.add(Injection::delay(100 * MS).unwrap()).unwrap();
    let (mut svc, mut handle) = mock::spawn_layer::<Request<()>, Rsp, _>(faults.layer());
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(Request::new(())));
    assert_pending!(call.poll());
    drop(call);
    advance(200 * MS).await;
    assert_pending!(handle.poll_request());
    assert_eq!(faults.list()[0].injected, 1);
}

#[tokio::test(start_paused = true)]
async fn an_injected_answer_gives_back_what_the_service_had_reserved() {
    let faults = Faults::new();
    let permits = tower::limit::ConcurrencyLimitLayer::new(1);
    let inner = permits.layer(tower::service_fn(async |_: Request<()>| {
        Ok::<_, Infallible>(Response::new(()))
    }));
    let mut one = faults.layer().layer(inner);
    let mut two = one.clone();
    faults.add(unavailable()).unwrap();
    let rsp = one.ready().await.unwrap().call(Request::new(())).await;
    assert_eq!(rsp.unwrap().status(), 503);
    // `one` is still there, and holds nothing.
    let mut ready = task::spawn(two.ready());
    assert!(ready.poll().is_ready());
    drop(ready);
    drop(one);
}

#[tokio::test(start_paused = true)]
async fn injections_are_bounded_and_ended_ones_make_room() {
    let faults = Faults::new();
    for _ in 0..MAX_INJECTIONS {
        let injection = unavailable().with_duration(MS).unwrap();
        faults.add(injection).unwrap();
    }
    let error = faults.add(Injection::reset()).unwrap_err();
    assert!(error.to_string().contains("remove one first"), "{error}");
    advance(MS).await;
    faults.add(Injection::reset()).unwrap();
    assert_eq!(faults.list().len(), 1);
}

#[test]
fn a_request_that_nothing_is_injected_into_costs_no_allocation() {
    let faults = Faults::new();
    let inner = tower::service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(())))
    });
    let mut svc = faults.layer().layer(inner);
    let mut pass = || {
        let req = Request::new(());
        let info = allocation_counter::measure(|| {
            let mut call = pin!(svc.call(req));
            let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(poll.is_ready());
        });
        info.count_total
    };
    assert_eq!(pass(), 0);
    // Nor once an injection has come and gone.
    let id = faults.add(Injection::reset()).unwrap();
    faults.remove(id);
    pass();
    assert_eq!(pass(), 0);
}
