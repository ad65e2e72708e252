//! A hyper client with all that a mesh gives it, in ten lines of stack.
//!
//! Both replicas of the bookshop fail one request in ten; the program sees none of it:
//!
//! ```console
//! $ cargo run -p mesh-examples --example client
//! GET /books/{id}: 100 requests, 100% succeeded
//! ... of 111 attempts, of which 90% succeeded
//! ```

use http::{Request, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mesh_balance::Balance;
use mesh_profile::{Profile, ProfileLayer};
use mesh_retry::{Budget, ReplayBody, RetryLayer};
use mesh_stats::Stats;
use mesh_timeout::TimeoutLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt};

type Body = ReplayBody<Empty<axum::body::Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let replicas = [
        mesh_examples::replica("east", 10).await,
        mesh_examples::replica("west", 10).await,
    ];
    let profile: Profile = serde_json::from_str(
        r#"{ "routes": [{
            "name": "GET /books/{id}",
            "condition": { "method": "GET", "pathRegex": "/books/[^/]*" },
            "isRetryable": true,
            "timeout": "1s"
        }]}"#,
    )?;

    // One connection pool for all; each endpoint is that pool, told where to go.
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let books = Balance::new();
    books.handle().update(replicas, |addr| {
        http.clone().map_request(move |mut req: Request<Body>| {
            *req.uri_mut() = Uri::try_from(format!("http://{addr}{}", req.uri())).expect("a path");
            req
        })
    });

    let stats = Stats::new();
    let mut client = ServiceBuilder::new()
        .layer(ProfileLayer::new(profile)) // which route is this? the layers below ask it
        .layer(stats.effective()) // what we see of it
        .layer(TimeoutLayer::per_route()) // no longer than a second, retries included
        .layer(RetryLayer::per_route(Budget::default())) // again, as far as the budget allows
        .layer(stats.actual()) // what each attempt came to
        .service(books); // the faster, less busy, less broken replica

    for id in 0..100 {
        let req = Request::get(format!("/books/{id}")).body(Empty::new())?;
        let rsp = client.ready().await?.call(req).await?;
        assert!(rsp.status().is_success());
        rsp.into_body().collect().await?;
    }

    let snapshot = stats.snapshot();
    let route = &snapshot["GET /books/{id}"];
    let percent = |rate: Option<f64>| rate.map_or(0.0, |rate| 100.0 * rate);
    let (seen, sent) = (&route.effective, &route.actual);
    let rate = percent(seen.success_rate());
    println!(
        "GET /books/{{id}}: {} requests, {rate:.0}% succeeded",
        seen.requests
    );
    let rate = percent(sent.success_rate());
    println!(
        "... of {} attempts, of which {rate:.0}% succeeded",
        sent.requests
    );
    Ok(())
}
