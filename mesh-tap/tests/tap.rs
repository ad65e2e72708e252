//! The events of an exchange, for each of its possible ends.

mod support;

use http::{HeaderName, HeaderValue, Request, header::AUTHORIZATION};
use http_body_util::BodyExt;
use mesh_core::Attempt;
use mesh_tap::{Conn, Direction, Fault, Filter, Route, Tap, TapBody, Tapped};
use std::time::Duration;
use support::{Req, Rsp, Script, get, line, lines, response};
use tokio::time::advance;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower_test::mock::{self, Handle, Mock, Spawn};

type Svc = Spawn<Tapped<Mock<Req, Rsp>>>;

fn tapped(tap: &Tap) -> (Svc, Handle<Req, Rsp>) {
    mock::spawn_layer(tap.layer())
}

/// Sends `req` and answers it with `rsp`.
async fn exchange(tap: &Tap, req: Req, rsp: Rsp) -> http::Response<TapBody<Script>> {
    let (mut svc, mut handle) = tapped(tap);
    assert_ready_ok!(svc.poll_ready());
    let call = svc.call(req);
    handle.next_request().await.unwrap().1.send_response(rsp);
    call.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_shown_from_its_request_to_its_last_byte() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 10);
    let (mut svc, mut handle) = tapped(&tap);
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(get("http://books:7002/books/1?secret=1")));
    let seen = lines(&mut events);
    assert_eq!(
        seen,
        ["req 0 :method=GET :authority=books:7002 :path=/books/1"]
    );

    let (_, reply) = handle.next_request().await.unwrap();
    assert_pending!(call.poll());
    advance(Duration::from_millis(5)).await;
    reply.send_response(response(200, Script::empty().data("Moby-").data("Dick")));
    let rsp = assert_ready_ok!(call.poll());
    assert_eq!(lines(&mut events), ["rsp 0 :status=200 latency=5000µs"]);

    advance(Duration::from_millis(2)).await;
    assert_eq!(
        rsp.into_body().collect().await.unwrap().to_bytes(),
        "Moby-Dick"
    );
    assert_eq!(
        lines(&mut events),
        ["end 0 duration=2000µs response-length=9B"]
    );
}

#[tokio::test]
async fn a_body_that_is_empty_ends_with_the_head() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 10);
    let _unread = exchange(&tap, get("/"), response(204, Script::empty())).await;
    assert_eq!(lines(&mut events).len(), 3);
}

#[tokio::test]
async fn grpc_status_comes_from_trailers_and_they_pass_through() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 10);
    let mut req = get("/books.Books/Get");
    let grpc = HeaderValue::from_static("application/grpc+proto");
    req.headers_mut().insert("content-type", grpc);
    let rsp = exchange(
        &tap,
        req,
        response(200, Script::empty().data("x").grpc_status("14")),
    )
    .await;
    let trailers = rsp.into_body().collect().await.unwrap().trailers().cloned();
    assert_eq!(trailers.unwrap()["grpc-status"], "14");
    let end = lines(&mut events).pop().unwrap();
    assert!(
        end.starts_with("end 0 grpc-status=Unavailable duration="),
        "{end}"
    );
}

#[tokio::test]
async fn a_status_in_the_last_frame_of_the_body_is_that_of_the_call() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 10);
    let kind = HeaderValue::from_static("application/connect+proto");
    let mut req = get("/books.Books/List");
    req.headers_mut().insert("content-type", kind.clone());
    let body = Script::empty()
        .data("\0\0\0\0\u{1}x")
        .data("\u{2}\0\0\0\x20{\"error\":{\"code\":\"unavailable\"}}");
    let mut rsp = response(200, body);
    rsp.headers_mut().insert("content-type", kind);
    let rsp = exchange(&tap, req, rsp).await;
    rsp.into_body().collect().await.unwrap();
    let end = lines(&mut events).pop().unwrap();
    assert!(
        end.starts_with("end 0 grpc-status=Unavailable duration="),
        "{end}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_ends_early_says_so() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);

    // A body whose reader goes away.
    drop(
        exchange(
            &tap,
            get("/"),
            response(200, Script::empty().data("x").waits()),
        )
        .await,
    );
    let end = lines(&mut events).pop();
    assert_eq!(
        end.unwrap(),
        "end 0 reset-error=8 duration=0µs response-length=0B"
    );

    // A body that breaks, saying why or not.
    for (error, reason) in [(Fault::Elapsed.into(), "timeout"), ("lost".into(), "reset")] {
        let error: tower::BoxError = error;
        let rsp = exchange(&tap, get("/"), response(200, Script::empty().error(error))).await;
        rsp.into_body().collect().await.unwrap_err();
        let end = lines(&mut events).pop().unwrap();
        assert!(
            end.contains(&format!(" reason={reason} duration=")),
            "{end}"
        );
    }

    // An error instead of a response.
    let (mut svc, mut handle) = tapped(&tap);
    assert_ready_ok!(svc.poll_ready());
    let mut call = task::spawn(svc.call(get("/")));
    handle
        .next_request()
        .await
        .unwrap()
        .1
        .send_error(Fault::Refused);
    assert_ready_err!(call.poll());
    let seen = lines(&mut events);
    assert_eq!(
        seen[1..],
        ["end 3 reason=connect-refused duration=0µs response-length=0B"]
    );

    // A call that is given up, by the caller or at the route's deadline.
    for (waited, expected) in [
        (10, "end 4 reset-error=8 duration=0µs response-length=0B"),
        (
            50,
            "end 5 reset-error=8 reason=timeout duration=0µs response-length=0B",
        ),
    ] {
        let mut req = get("/");
        let route = Route::new("slow").with_timeout(Duration::from_millis(50));
        req.extensions_mut().insert(route);
        assert_ready_ok!(svc.poll_ready());
        let mut call = task::spawn(svc.call(req));
        assert_pending!(call.poll());
        advance(Duration::from_millis(waited)).await;
        drop(call);
        assert_eq!(lines(&mut events)[1..], [expected]);
    }
}

#[tokio::test]
async fn addresses_identity_route_and_attempt_are_shown() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 10);
    let dst = [("deployment".to_owned(), "books".to_owned())];
    let layer = tap.layer().direction(Direction::Inbound);
    let layer = layer.endpoint("[::1]:7002".parse().unwrap(), dst);
    let (mut svc, _handle) = mock::spawn_layer::<Req, Rsp, _>(layer);
    let mut req = get("/books");
    req.extensions_mut().insert(Route::new("GET /books"));
    req.extensions_mut().insert(Attempt::first().next());
    req.extensions_mut().insert(Conn {
        peer: "10.0.0.9:5000".parse().unwrap(),
        local: "10.0.0.1:4143".parse().unwrap(),
        original_dst: None,
        direction: Direction::Outbound,
        identity: Some("web.shop".into()),
    });
    assert_ready_ok!(svc.poll_ready());
    let _call = svc.call(req);
    let event = events.try_next().unwrap();
    assert_eq!(event.route_name(), Some("GET /books"));
    assert_eq!(event.attempt(), 2);
    assert_eq!(
        event.wide().to_string(),
        "req id=0:0 proxy=in  src=10.0.0.9:5000 dst=[::1]:7002 tls=true :method=GET :authority= \
         :path=/books src_client_id=web.shop src_tls=true dst_deployment=books rt_attempt=2 \
         rt_route=GET /books"
    );
}

#[tokio::test]
async fn a_filter_on_the_end_shows_all_or_nothing() {
    let tap = Tap::new();
    let mut failures = tap.subscribe(Filter::new().status(500..), 10);
    let mut broken = tap.subscribe(Filter::new().reason(Fault::Reset), 10);
    for (status, body) in [
        (200, Script::empty()),
        (503, Script::empty()),
        (200, Script::empty().data("x").error("lost")),
    ] {
        let rsp = exchange(&tap, get("/"), response(status, body)).await;
        let _ = rsp.into_body().collect().await;
    }
    let kinds = |lines: Vec<String>| -> Vec<String> {
        lines.iter().map(|line| line[..5].to_owned()).collect()
    };
    assert_eq!(kinds(lines(&mut failures)), ["req 0", "rsp 0", "end 0"]);
    assert_eq!(kinds(lines(&mut broken)), ["req 0", "rsp 0", "end 0"]);
}

#[tokio::test]
async fn headers_are_copied_for_those_who_ask_and_secrets_for_nobody() {
    let tap = Tap::new();
    let mut plain = tap.subscribe(Filter::new(), 10);
    let mut asking = tap.subscribe(Filter::new().with_headers(), 10);
    let mut req = get("/");
    let secret = HeaderValue::from_static("Bearer secret");
    req.headers_mut().insert(AUTHORIZATION, secret);
    let _rsp = exchange(&tap, req, response(200, Script::empty())).await;

    let shown = format!("{:?}", events_of(&mut asking));
    assert!(
        shown.contains("[redacted]") && !shown.contains("secret"),
        "{shown}"
    );
    let shown = format!("{:?}", events_of(&mut plain));
    assert!(!shown.contains("authorization"), "{shown}");
}

#[tokio::test]
async fn the_list_of_secrets_is_the_owners() {
    let tap = Tap::redacting([HeaderName::from_static("x-api-key")]);
    let mut events = tap.subscribe(Filter::new().with_headers(), 10);
    let req = Request::get("/")
        .header("x-api-key", "hidden")
        .header("cookie", "shown");
    let _rsp = exchange(&tap, req.body(()).unwrap(), response(200, Script::empty())).await;

    let shown = format!("{:?}", events_of(&mut events));
    assert!(
        !shown.contains("hidden") && shown.contains("shown"),
        "{shown}"
    );
}

fn events_of(events: &mut mesh_tap::Events) -> Vec<mesh_tap::Event> {
    std::iter::from_fn(|| events.try_next()).collect()
}

#[tokio::test]
async fn a_slow_reader_loses_events_and_never_sees_half_an_exchange_without_its_beginning() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 2);
    for _ in 0..3 {
        drop(exchange(&tap, get("/"), response(200, Script::empty())).await);
    }
    // The end of the first exchange, and the requests of the two others.
    assert_eq!(events.dropped(), 3);
    assert_eq!(tap.dropped(), 3);
    assert_eq!(lines(&mut events).len(), 2);
    drop(exchange(&tap, get("/"), response(200, Script::empty())).await);
    assert!(lines(&mut events)[0].starts_with("req 3 "));
}

#[tokio::test]
async fn the_events_end_when_the_last_exchange_within_the_limit_does() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new().path_prefix("/books").limit(1), 10);
    drop(exchange(&tap, get("/other"), response(200, Script::empty())).await);
    assert_eq!(tap.subscriptions(), 1);
    let rsp = exchange(
        &tap,
        get("/books"),
        response(200, Script::empty().data("x")),
    )
    .await;
    assert_eq!(tap.subscriptions(), 0);
    drop(exchange(&tap, get("/books"), response(200, Script::empty())).await);
    assert_eq!(lines(&mut events).len(), 2);
    assert_pending!(task::spawn(events.next()).poll());
    rsp.into_body().collect().await.unwrap();
    assert!(line(&events.next().await.unwrap()).starts_with("end 0 "));
    assert!(assert_ready!(task::spawn(events.next()).poll()).is_none());
}

#[tokio::test]
async fn subscriptions_are_bounded_and_end_when_their_reader_goes() {
    let tap = Tap::new();
    let mut all: Vec<_> = (0..Tap::MAX_SUBSCRIPTIONS)
        .map(|_| tap.try_subscribe(Filter::new(), 1).unwrap())
        .collect();
    assert!(tap.try_subscribe(Filter::new(), 1).is_err());
    assert!(tap.subscribe(Filter::new(), 1).next().await.is_none());
    all.pop();
    assert!(tap.try_subscribe(Filter::new(), 1).is_ok());
    drop(all);
    assert_eq!(tap.subscriptions(), 0);
}

#[tokio::test]
async fn the_response_is_the_same_watched_or_not() {
    use http_body::Body;
    for watched in [false, true] {
        let tap = Tap::new();
        let _events = watched.then(|| tap.subscribe(Filter::new(), 10));
        let rsp = exchange(&tap, get("/"), response(201, Script::empty().data("x"))).await;
        assert_eq!(rsp.status(), 201);
        assert_eq!(rsp.body().size_hint().exact(), Some(42));
        assert!(!rsp.body().is_end_stream());
        assert_eq!(rsp.into_body().collect().await.unwrap().to_bytes(), "x");
    }
}

#[tokio::test]
async fn a_host_header_stands_in_for_the_authority() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new().authority("books:7002"), 10);
    let req = Request::get("/").header("host", "books:7002").body(());
    drop(exchange(&tap, req.unwrap(), response(200, Script::empty())).await);
    let seen = lines(&mut events);
    assert_eq!(seen[0], "req 0 :method=GET :authority=books:7002 :path=/");
}
