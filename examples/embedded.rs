//! A program in the mesh without a sidecar: `front`, which passes what it is asked on to another
//! service. It follows the controller of `mesh up`, does for itself what a sidecar would, and is
//! seen like any other workload.
//!
//! Start any mesh with a service to call, say `web` at port 80, and ask it where its controller is:
//!
//! ```console
//! $ mesh check | grep 'serves sidecars'
//! √ the controller serves sidecars on 127.0.0.1:8086
//! $ cargo run -p mesh-examples --example embedded -- 127.0.0.1:8086 web:80
//! registered as front-0 of namespace shop
//! ```
//!
//! and programs of the mesh reach it as `http://front:8080/`. While it runs, `mesh stat deploy`,
//! `mesh edges deploy` and `mesh routes deploy/front --to svc/web` show it; profiles apply to it
//! without a restart.

use axum::{Router, body::Body as AxumBody, extract::Request as AxumRequest};
use http::{HeaderValue, Request, StatusCode, Uri, header::HOST};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mesh_discover::{
    Control, ControlConfig, Endpoint, Workload,
    embedded::{Inbound, Metrics, Outbound},
};
use mesh_profile::ProfileLayer;
use mesh_retry::{ReplayBody, RetryLayer};
use mesh_timeout::TimeoutLayer;
use std::env::args;
use tokio::net::TcpListener;
use tower::{BoxError, ServiceBuilder, ServiceExt};

type Body = ReplayBody<Empty<Bytes>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let controller = args().nth(1).unwrap_or("127.0.0.1:8086".into());
    let upstream = args().nth(2).unwrap_or("web:80".into());
    let control = Control::new(ControlConfig::new(&controller)?);
    let metrics = Metrics::new();

    // The client: where the service is and how it may be asked, now and whenever that changes.
    let http = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let connect = move |endpoint: &Endpoint| {
        let addr = endpoint.addr;
        http.clone().map_request(move |mut req: Request<Body>| {
            *req.uri_mut() = Uri::try_from(format!("http://{addr}{}", req.uri())).expect("a path");
            req
        })
    };
    let outbound = Outbound::follow(control.destination(&upstream), &metrics, connect);
    let client = ServiceBuilder::new()
        .layer(ProfileLayer::watch(outbound.profile().clone())) // which route is this?
        .layer(outbound.stats().effective()) // what we see of it
        .layer(TimeoutLayer::per_route()) // one deadline, retries included
        .layer(RetryLayer::per_route(outbound.budget().clone())) // again, within the budget
        .layer(outbound.stats().actual()) // what each attempt came to
        .service(outbound); // which leaf, and which of its endpoints

    // The server: counted by the routes of its own profile.
    let host = HeaderValue::from_str(&upstream)?;
    let pass_on = async move |asked: AxumRequest| {
        let mut req = Request::new(Empty::new());
        *req.uri_mut() = asked.uri().clone();
        req.headers_mut().insert(HOST, host);
        match client.oneshot(req).await {
            Ok(rsp) => Ok(rsp.map(AxumBody::new)),
            Err(error) => Err((StatusCode::BAD_GATEWAY, format!("{error}\n"))),
        }
    };
    let front = Inbound::follow(control.destination("front:8080"), &metrics);
    let app = Router::new().fallback(pass_on).layer(front);
    let listener = TcpListener::bind("127.0.0.1:0").await?;

    // The workload: by this name others call us, and commands show us, until the program ends.
    let us = Workload::new("front")
        .serving(8080, listener.local_addr()?)
        .with_metrics(move || metrics.render());
    let registration = control.register(us);
    let known = registration.registered().await?;
    println!(
        "registered as {} of namespace {}",
        known.pod, known.namespace
    );

    tokio::select! {
        served = axum::serve(listener, app) => served?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    registration.end().await;
    Ok(())
}
