//! Counters and their times, for each end of an exchange.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use mesh_core::{Classify, End, Head};
use mesh_stats::{Class, Fault, Route, Snapshot, Stats, StatsLayer, Status, View};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

type Req = Request<()>;
type Rsp = Response<Script>;

/// A response body that plays its frames, and then ends or, if it is told so, waits.
#[derive(Debug, Default)]
struct Script {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    waits: bool,
}

impl Script {
    fn data(mut self, data: &'static str) -> Self {
        let frame = Frame::data(Bytes::from_static(data.as_bytes()));
        self.frames.push_back(Ok(frame));
        self
    }

    fn grpc_status(mut self, code: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }

    fn error(mut self, error: impl Into<BoxError>) -> Self {
        self.frames.push_back(Err(error.into()));
        self
    }

    fn waits(mut self) -> Self {
        self.waits = true;
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            None if self.waits => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.waits
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(42)
    }
}

fn grpc(route: &Route) -> Req {
    let mut req = request(route);
    let grpc = HeaderValue::from_static("application/grpc");
    req.headers_mut().insert("content-type", grpc);
    req
}

fn request(route: &Route) -> Req {
    let mut req = Request::new(());
    req.extensions_mut().insert(route.clone());
    req
}

fn response(status: u16, body: Script) -> Rsp {
    Response::builder().status(status).body(body).unwrap()
}

/// Sends `req`, answers it with `rsp` and reads the response to its end.
async fn exchange(layer: &StatsLayer, req: Req, rsp: Rsp) {
    let mut rsp = Some(rsp);
    let mut svc = layer.layer(service_fn(move |_: Req| {
        let rsp = rsp.take().expect("there is one request");
        async move { Ok::<_, BoxError>(rsp) }
    }));
    let rsp = svc.ready().await.unwrap().call(req).await.unwrap();
    let _ = rsp.into_body().collect().await;
}

/// The outcomes as the labels they are rendered with.
fn outcomes(view: &View) -> Vec<(String, u64)> {
    let outcomes = view.responses.iter();
    outcomes
        .map(|(outcome, count)| {
            let grpc = outcome.grpc_status.map(|code| format!(" grpc={code}"));
            let error = outcome.fault.map(|fault| format!(" error={fault}"));
            let labels = format!(
                "{} {}{}{}",
                outcome.status,
                outcome.class,
                grpc.unwrap_or_default(),
                error.unwrap_or_default()
            );
            (labels, *count)
        })
        .collect()
}

fn one(labels: &str) -> Vec<(String, u64)> {
    vec![(labels.to_owned(), 1)]
}

fn books() -> Route {
    Route::new("GET /books")
}

#[tokio::test]
async fn requests_are_counted_by_route_and_those_without_one_as_default() {
    let stats = Stats::new();
    let layer = stats.effective();
    exchange(&layer, request(&books()), response(200, Script::default())).await;
    exchange(&layer, request(&books()), response(503, Script::default())).await;
    exchange(&layer, Request::new(()), response(404, Script::default())).await;
    let snapshot = stats.snapshot();
    let route = &snapshot["GET /books"].effective;
    assert_eq!(route.requests, 2);
    assert_eq!(route.success_rate(), Some(0.5));
    assert_eq!(
        outcomes(&snapshot[Route::DEFAULT_NAME].effective),
        one("404 success")
    );
    assert_eq!(snapshot["GET /authors"].effective.success_rate(), None);
    assert_eq!(snapshot.routes().count(), 2);
}

#[tokio::test]
async fn a_failure_that_was_injected_says_so() {
    let stats = Stats::new();
    let injected = |status| {
        let mut rsp = response(status, Script::default());
        rsp.extensions_mut().insert(Fault::Injected);
        rsp
    };
    exchange(&stats.actual(), request(&books()), injected(503)).await;
    let view = stats.snapshot()["GET /books"].actual.clone();
    assert_eq!(outcomes(&view), one("503 failure error=injected"));
}

#[tokio::test]
async fn each_level_counts_for_itself() {
    let stats = Stats::new();
    for layer in [
        stats.effective(),
        stats.actual(),
        stats.actual(),
        stats.endpoint(),
    ] {
        exchange(&layer, request(&books()), response(200, Script::default())).await;
    }
    let snapshot = stats.snapshot();
    let route = &snapshot["GET /books"];
    assert_eq!((route.effective.requests, route.actual.requests), (1, 2));
    assert_eq!(snapshot.endpoint().requests, 1);
    assert_eq!(route.effective.latencies().count(), 1);
    assert_eq!(route.actual.latencies().count(), 0);
    assert_eq!(snapshot.endpoint().latencies().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn latency_ends_with_the_first_frame_and_the_response_with_the_last() {
    let stats = Stats::new();
    let (mut svc, mut handle) = mock::spawn_layer::<Req, Rsp, _>(stats.effective());
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(request(&books())));
    let view = || stats.snapshot()["GET /books"].effective.clone();
    assert_eq!((view().requests, view().success_rate()), (1, None));

    assert_pending!(call.poll());
    advance(Duration::from_millis(20)).await;
    let body = Script::default().data("Moby-").data("Dick");
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_response(response(200, body));
    let mut body = assert_ready_ok!(call.poll()).into_body();
    assert_eq!(body.size_hint().exact(), Some(42));
    advance(Duration::from_millis(15)).await;
    assert_eq!(view().latencies().count(), 0);

    body.frame().await.unwrap().unwrap();
    let latency = &view().latency[&Status::Code(200)];
    assert_eq!(
        (latency.count(), latency.sum()),
        (1, Duration::from_millis(35))
    );
    assert_eq!(view().success_rate(), None);

    advance(Duration::from_secs(9)).await;
    assert!(!body.is_end_stream());
    body.frame().await.unwrap().unwrap();
    // The body says that it is over, and the server need not ask again.
    assert!(body.is_end_stream());
    assert_eq!(outcomes(&view()), one("200 success"));
    drop(body);
    assert_eq!(outcomes(&view()), one("200 success"));
    assert_eq!(view().latencies().sum(), Duration::from_millis(35));
}

#[tokio::test(start_paused = true)]
async fn what_a_program_computes_after_its_own_calls_counts() {
    let (server, client) = (Stats::new(), Stats::new());
    let below = client.endpoint();
    let program = server.effective().layer(service_fn(move |_: Req| {
        let mut call = below.layer(service_fn(async |_: Req| {
            Ok::<_, BoxError>(response(204, Script::default()))
        }));
        async move {
            let rsp = call.ready().await?.call(Request::new(())).await?;
            // Advances the clock within the same poll.
            assert_pending!(task::spawn(advance(Duration::from_millis(50))).poll());
            Ok::<_, BoxError>(rsp)
        }
    }));
    program.oneshot(request(&books())).await.unwrap();
    let sum = |view: &View| view.latencies().sum();
    assert_eq!(sum(client.snapshot().endpoint()), Duration::ZERO);
    assert_eq!(
        sum(&server.snapshot()["GET /books"].effective),
        Duration::from_millis(50)
    );
}

#[tokio::test]
async fn grpc_is_classified_by_its_trailers_or_a_reply_of_trailers_only() {
    for (code, labels) in [("0", "200 success grpc=0"), ("14", "200 failure grpc=14")] {
        let stats = Stats::new();
        let body = Script::default().data("x").grpc_status(code);
        exchange(&stats.actual(), grpc(&books()), response(200, body)).await;
        assert_eq!(
            outcomes(&stats.snapshot()["GET /books"].actual),
            one(labels)
        );

        let stats = Stats::new();
        let mut reply = response(200, Script::default());
        let status = HeaderValue::from_static(code);
        reply.headers_mut().insert("grpc-status", status);
        exchange(&stats.actual(), grpc(&books()), reply).await;
        assert_eq!(
            outcomes(&stats.snapshot()["GET /books"].actual),
            one(labels)
        );
    }
}

/// A response of `kind`, one message and then this end, to a request of the same kind.
async fn framed(stats: &Stats, kind: &'static str, end: &'static str, is_read: bool) {
    let message = if kind.contains("text") {
        "AAAAAAF4"
    } else {
        "\0\0\0\0\u{1}x"
    };
    let body = Script::default().data(message).data(end);
    let body = if is_read { body } else { body.waits() };
    let mut rsp = response(200, body);
    let mut req = request(&books());
    for headers in [req.headers_mut(), rsp.headers_mut()] {
        headers.insert("content-type", HeaderValue::from_static(kind));
    }
    let mut rsp = Some(rsp);
    let layer = stats.actual();
    let mut svc = layer.layer(service_fn(move |_: Req| {
        let rsp = rsp.take().expect("there is one request");
        async move { Ok::<_, BoxError>(rsp) }
    }));
    let mut body = svc.call(req).await.unwrap().into_body();
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_status_in_the_last_frame_of_the_body_is_that_of_the_call() {
    const WEB: &str = "application/grpc-web-text+proto";
    const CONNECT: &str = "application/connect+json";
    for (kind, end, labels) in [
        (WEB, "gAAAAA1ncnBjLXN0YXR1czow", "200 success grpc=0"),
        (WEB, "gAAAAA5ncnBjLXN0YXR1czoxNA==", "200 failure grpc=14"),
        (CONNECT, "\u{2}\0\0\0\x02{}", "200 success grpc=0"),
        (
            CONNECT,
            "\u{2}\0\0\0\x20{\"error\":{\"code\":\"unavailable\"}}",
            "200 failure grpc=14",
        ),
        // No end that can be read, as of gRPC without a status.
        (CONNECT, "\0\0\0\0\u{1}x", "200 success"),
    ] {
        let stats = Stats::new();
        framed(&stats, kind, end, true).await;
        let actual = stats.snapshot()["GET /books"].actual.clone();
        assert_eq!(outcomes(&actual), one(labels), "{end}");
    }
    // Dropped behind the last frame, before the end of the body.
    let stats = Stats::new();
    framed(
        &stats,
        CONNECT,
        "\u{2}\0\0\0\x20{\"error\":{\"code\":\"unavailable\"}}",
        false,
    )
    .await;
    let actual = stats.snapshot()["GET /books"].actual.clone();
    assert_eq!(outcomes(&actual), one("200 failure grpc=14"));
}

#[tokio::test]
async fn errors_are_failures_with_their_reason() {
    let reasons: [(BoxError, &str, &str); 2] = [
        (Fault::Elapsed.into(), "timeout", "timeout"),
        ("lost".into(), "unexpected", "reset"),
    ];
    for (error, instead, within) in reasons {
        let (a, b) = (error.to_string(), Fault::of(&*error));
        let again = || -> BoxError { b.map_or_else(|| a.clone().into(), Into::into) };

        let stats = Stats::new();
        let mut svc = stats.effective().layer(service_fn(|_: Req| {
            let error = again();
            async move { Err::<Rsp, _>(error) }
        }));
        svc.ready()
            .await
            .unwrap()
            .call(request(&books()))
            .await
            .unwrap_err();
        let snapshot = stats.snapshot();
        let view = &snapshot["GET /books"].effective;
        assert_eq!(outcomes(view), one(&format!(" failure error={instead}")));
        assert_eq!(view.latencies().count(), 0);

        let stats = Stats::new();
        let body = Script::default().data("x").error(again());
        exchange(&stats.effective(), request(&books()), response(200, body)).await;
        let labels = format!("200 failure error={within}");
        assert_eq!(
            outcomes(&stats.snapshot()["GET /books"].effective),
            one(&labels)
        );
    }
}

#[tokio::test]
async fn an_error_type_of_ones_own_can_be_explained() {
    #[derive(Debug)]
    struct Busy;
    let stats = Stats::new();
    let layer = stats
        .actual()
        .inspect(|error| error.is::<Busy>().then_some(Fault::Overloaded));
    let mut svc = layer.layer(service_fn(|_: Req| async { Err::<Rsp, _>(Busy) }));
    svc.ready()
        .await
        .unwrap()
        .call(Request::new(()))
        .await
        .unwrap_err();
    let snapshot = stats.snapshot();
    assert_eq!(
        outcomes(&snapshot[Route::DEFAULT_NAME].actual),
        one(" failure error=overloaded")
    );
}

#[tokio::test]
async fn an_attempt_given_up_before_its_head_counts_in_requests_only() {
    let stats = Stats::new();
    let (mut svc, _handle) = mock::spawn_layer::<Req, Rsp, _>(stats.actual());
    assert_ready_ok!(svc.poll_ready());
    drop(svc.call(request(&books())));
    let snapshot = stats.snapshot();
    let view = &snapshot["GET /books"].actual;
    assert_eq!((view.requests, view.responses.len()), (1, 0));
}

#[tokio::test]
async fn a_body_dropped_early_counts_if_its_head_decided() {
    for (req, expected) in [
        (request(&books()), one("200 success")),
        (grpc(&books()), Vec::new()),
    ] {
        let stats = Stats::new();
        let (mut svc, mut handle) = mock::spawn_layer::<Req, Rsp, _>(stats.actual());
        assert_ready_ok!(svc.poll_ready());
        let mut call = task::spawn(svc.call(req));
        let body = Script::default().data("x").waits();
        handle
            .next_request()
            .await
            .unwrap()
            .1
            .send_response(response(200, body));
        drop(assert_ready_ok!(call.poll()));
        assert_eq!(outcomes(&stats.snapshot()["GET /books"].actual), expected);
    }
}

#[tokio::test]
async fn the_route_decides_at_every_level_what_a_failure_is() {
    struct NotFoundFails;

    impl Classify for NotFoundFails {
        fn classify(&self, head: &Head<'_>, _: Option<End<'_>>) -> Option<Class> {
            Some(match head.status().as_u16() {
                404 => Class::Failure,
                _ => Class::Success,
            })
        }
    }

    let stats = Stats::new();
    let route = books().with_classify(NotFoundFails);
    for layer in [stats.effective(), stats.actual(), stats.endpoint()] {
        exchange(&layer, request(&route), response(404, Script::default())).await;
        exchange(&layer, request(&route), response(500, Script::default())).await;
    }
    let snapshot = stats.snapshot();
    let route = &snapshot["GET /books"];
    for view in [&route.effective, &route.actual, snapshot.endpoint()] {
        let expected = [("404 failure".to_owned(), 1), ("500 success".to_owned(), 1)];
        assert_eq!(outcomes(view), expected);
    }
}

#[tokio::test]
async fn readiness_and_its_errors_pass_through() {
    let stats = Stats::new();
    let (mut svc, mut handle) = mock::spawn_layer::<Req, Rsp, _>(stats.effective());
    handle.allow(0);
    assert_pending!(svc.poll_ready());
    handle.send_error("closed");
    assert_ready_err!(svc.poll_ready());
    assert_eq!(stats.snapshot(), Snapshot::default());
}

#[tokio::test]
async fn snapshots_of_workers_add_up() {
    let (one, two) = (Stats::new(), Stats::new());
    for (stats, status) in [(&one, 200), (&two, 200), (&two, 503)] {
        for layer in [stats.effective(), stats.endpoint()] {
            exchange(
                &layer,
                request(&books()),
                response(status, Script::default()),
            )
            .await;
        }
    }
    two.retryable(&books(), None);
    let mut both = one.snapshot();
    both += two.snapshot();
    let route = &both["GET /books"];
    assert_eq!(route.effective.requests, 3);
    assert_eq!(
        (route.effective.successes(), route.effective.failures()),
        (2, 1)
    );
    assert_eq!(route.effective.latencies().count(), 3);
    assert_eq!(route.retryable.retried, 1);
    assert_eq!(both.endpoint().successes(), 2);
}

#[tokio::test]
async fn counters_are_read_from_another_thread() {
    let stats = Stats::new();
    let other = stats.clone();
    exchange(
        &stats.effective(),
        request(&books()),
        response(200, Script::default()),
    )
    .await;
    let seen = std::thread::spawn(move || other.snapshot()["GET /books"].effective.requests);
    assert_eq!(seen.join().unwrap(), 1);
}
