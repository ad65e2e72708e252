//! HTTP Archives of events.

mod support;

use mesh_tap::{Fault, Filter, Route, Tap, har::Har};
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};
use support::{Req, Rsp, Script, get, response};
use tokio::time::advance;
use tower::{BoxError, Service, ServiceBuilder, service_fn};

/// Sends `req` to a service that answers after 5 ms.
async fn send(tap: &Tap, mut req: Req, rsp: Result<Rsp, BoxError>) {
    req.extensions_mut().insert(Route::new("GET /books/{id}"));
    let mut rsp = Some(rsp);
    let mut service = ServiceBuilder::new()
        .layer(tap.layer())
        .service(service_fn(|_: Req| {
            let rsp = rsp.take().expect("one request");
            async {
                advance(Duration::from_millis(5)).await;
                rsp
            }
        }));
    if let Ok(rsp) = service.call(req).await {
        advance(Duration::from_millis(2)).await;
        let _ = http_body_util::BodyExt::collect(rsp.into_body()).await;
    }
}

fn archive(events: &mut mesh_tap::Events, capacity: usize) -> Har {
    let mut har = Har::new(capacity);
    let now = UNIX_EPOCH + Duration::from_millis(1_700_000_000_007);
    while let Some(event) = events.try_next() {
        har.add(&event, now);
    }
    har
}

fn value(har: &Har) -> Value {
    serde_json::to_value(har).unwrap()
}

type Is = fn(&Value) -> bool;

/// Panics unless every member is there that HAR 1.2 does not call optional, of the type it says.
fn is_har(har: &Value) {
    for path in ["/version", "/creator/name", "/creator/version"] {
        assert!(
            har["log"].pointer(path).is_some_and(Value::is_string),
            "{path}"
        );
    }
    for entry in har["log"]["entries"].as_array().unwrap() {
        let required: [(&str, Is); 25] = [
            ("/startedDateTime", Value::is_string),
            ("/time", Value::is_number),
            ("/request/method", Value::is_string),
            ("/request/url", Value::is_string),
            ("/request/httpVersion", Value::is_string),
            ("/request/cookies", Value::is_array),
            ("/request/headers", Value::is_array),
            ("/request/queryString", Value::is_array),
            ("/request/headersSize", Value::is_number),
            ("/request/bodySize", Value::is_number),
            ("/response/status", Value::is_number),
            ("/response/statusText", Value::is_string),
            ("/response/httpVersion", Value::is_string),
            ("/response/cookies", Value::is_array),
            ("/response/headers", Value::is_array),
            ("/response/content", Value::is_object),
            ("/response/content/size", Value::is_number),
            ("/response/content/mimeType", Value::is_string),
            ("/response/redirectURL", Value::is_string),
            ("/response/headersSize", Value::is_number),
            ("/response/bodySize", Value::is_number),
            ("/cache", Value::is_object),
            ("/timings/send", Value::is_number),
            ("/timings/wait", Value::is_number),
            ("/timings/receive", Value::is_number),
        ];
        for (path, is_right) in required {
            assert!(entry.pointer(path).is_some_and(is_right), "{path}: {entry}");
        }
        for path in [
            "/request/headers",
            "/request/queryString",
            "/response/headers",
        ] {
            for pair in entry.pointer(path).unwrap().as_array().unwrap() {
                assert!(
                    pair["name"].is_string() && pair["value"].is_string(),
                    "{pair}"
                );
            }
        }
        let timings = ["send", "wait", "receive"].map(|part| entry["timings"][part].as_f64());
        let sum: f64 = timings.into_iter().flatten().sum();
        assert_eq!(entry["time"].as_f64(), Some(sum));
    }
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_an_entry_with_all_that_har_asks_for() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new().with_headers(), 10);
    let mut req = get("http://books:7002/books/1?q=moby&secret=1");
    req.headers_mut()
        .insert("authorization", "Bearer secret".parse().unwrap());
    req.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    let mut rsp = response(200, Script::empty().data("Moby-Dick").grpc_status("0"));
    rsp.headers_mut()
        .insert("content-type", "application/grpc".parse().unwrap());
    send(&tap, req, Ok(rsp)).await;

    let har = value(&archive(&mut events, 10));
    is_har(&har);
    assert_eq!(har["log"]["version"], "1.2");
    assert_eq!(har["log"]["creator"]["name"], "mesh-tap");
    assert_eq!(
        har["log"]["entries"],
        json!([{
            "startedDateTime": "2023-11-14T22:13:20.000Z",
            "time": 7.0,
            "request": {
                "method": "GET",
                "url": "http://books:7002/books/1?q=moby&secret=[redacted]",
                "httpVersion": "HTTP/1.1",
                "cookies": [],
                "headers": [
                    { "name": "authorization", "value": "[redacted]" },
                    { "name": "content-type", "value": "application/grpc" },
                ],
                "queryString": [
                    { "name": "q", "value": "moby" },
                    { "name": "secret", "value": "[redacted]" },
                ],
                "headersSize": -1,
                "bodySize": -1,
            },
            "response": {
                "status": 200,
                "statusText": "OK",
                "httpVersion": "HTTP/1.1",
                "cookies": [],
                "headers": [
                    { "name": "content-type", "value": "application/grpc" },
                    { "name": "grpc-status", "value": "0" },
                ],
                "content": { "size": 9, "mimeType": "application/grpc" },
                "redirectURL": "",
                "headersSize": -1,
                "bodySize": 9,
            },
            "cache": {},
            "timings": { "send": 0.0, "wait": 5.0, "receive": 2.0 },
            "_direction": "outbound",
            "_route": "GET /books/{id}",
            "_attempt": 1,
            "_grpcStatus": 0,
        }])
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_response_says_why() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 10);
    send(&tap, get("/books/1"), Err(Fault::NoEndpoint.into())).await;

    let har = value(&archive(&mut events, 10));
    let entry = &har["log"]["entries"][0];
    is_har(&har);
    assert_eq!(entry["response"]["status"], 0);
    assert_eq!(entry["response"]["bodySize"], -1);
    assert_eq!(entry["request"]["url"], "http://unknown/books/1");
    assert_eq!(entry["_reason"], "no-endpoint");
    assert_eq!(
        entry["timings"],
        json!({ "send": 0.0, "wait": 5.0, "receive": 0.0 })
    );
}

#[tokio::test(start_paused = true)]
async fn what_there_is_no_room_for_is_counted() {
    let tap = Tap::new();
    let mut events = tap.subscribe(Filter::new(), 100);
    for id in 0..5 {
        send(
            &tap,
            get(&format!("/books/{id}")),
            Ok(response(200, Script::empty())),
        )
        .await;
    }
    let har = archive(&mut events, 3);
    assert_eq!((har.len(), har.dropped()), (3, 2));
}
