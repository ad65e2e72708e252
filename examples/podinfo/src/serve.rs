//! Flags of the web service, its router, and its listener.

use crate::{
    faults::{self, Faults},
    health::{self, Health},
    info::{self, Identity},
    metrics::{self, Metrics},
    store::{self, Cache},
    token,
};
use anyhow::Context as _;
use axum::{Router, middleware::from_fn_with_state};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    net::TcpListener,
    signal::{
        ctrl_c,
        unix::{SignalKind, signal},
    },
};

/// Settings of the web service.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Port on 127.0.0.1
    #[arg(long, env, default_value_t = 9898)]
    port: u16,
    #[command(flatten)]
    identity: Identity,
    #[command(flatten)]
    faults: Faults,
    /// Answer /healthz with 503
    #[arg(long)]
    unhealthy: bool,
    /// Answer /readyz with 503 until POST /readyz/enable
    #[arg(long)]
    unready: bool,
}

/// Serves until SIGTERM or Ctrl-C, and finishes the requests in flight.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let version = args.identity.version.clone();
    let addr = SocketAddr::from(([127, 0, 0, 1], args.port));
    listen(&format!("podinfo {version}"), addr, router(args)).await
}

/// Serves `router` on `addr` until SIGTERM or Ctrl-C, and finishes the requests in flight.
pub(crate) async fn listen(name: &str, addr: SocketAddr, router: Router) -> anyhow::Result<()> {
    let listener = TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}"))?;
    println!("{name} listens on {}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, router)
        .with_graceful_shutdown(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = ctrl_c() => {}
            }
        })
        .await?;
    Ok(())
}

fn router(args: Args) -> Router {
    let metrics = Arc::new(Metrics::default());
    let work = Router::new()
        .merge(info::routes(Arc::new(args.identity)))
        .merge(token::routes())
        .merge(store::routes(Arc::new(Cache::default())))
        .merge(faults::routes());
    // Probes and metrics see no injected faults.
    args.faults
        .apply(work)
        .merge(health::routes(Arc::new(Health::new(
            !args.unhealthy,
            !args.unready,
        ))))
        .layer(from_fn_with_state(metrics.clone(), metrics::count))
        .merge(metrics::routes(metrics))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use axum::{
        body::Body,
        http::{Request, Response, StatusCode},
    };
    use clap::Parser;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// The service as `flags` set it up.
    pub(crate) fn service(flags: &[&str]) -> Router {
        let line = ["podinfo"].iter().chain(flags);
        router(Line::parse_from(line).args)
    }

    pub(crate) async fn send(router: &Router, request: Request<Body>) -> Response<Body> {
        let Ok(response) = router.clone().oneshot(request).await;
        response
    }

    pub(crate) async fn text(response: Response<Body>) -> String {
        let body = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    fn get(path: &str) -> Request<Body> {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn every_path_of_the_tutorials_answers() {
        let service = service(&["--version-name", "1.7.0"]);
        for (path, status, part) in [
            ("/", 200, "\"version\":\"1.7.0\""),
            ("/version", 200, "\"version\":\"1.7.0\""),
            ("/healthz", 200, "OK"),
            ("/readyz", 200, "OK"),
            ("/status/500", 500, "\"status\":500"),
            ("/status/404", 404, "\"status\":404"),
            ("/status/99", 400, "from 200 to 599"),
            ("/delay/0", 200, "\"delay\":0"),
            ("/headers", 200, "{"),
            ("/env", 200, "["),
            ("/configs", 200, "{"),
            ("/cache/none", 404, ""),
            ("/metrics", 200, "http_requests_total{status=\"500\"} 1"),
            ("/nothing", 404, ""),
        ] {
            let response = send(&service, get(path)).await;
            assert_eq!(response.status().as_u16(), status, "{path}");
            let text = text(response).await;
            assert!(text.contains(part), "{path}: {text}");
        }
    }

    #[tokio::test]
    async fn readiness_can_be_switched() {
        let service = service(&["--unready"]);
        let status = async |path| send(&service, get(path)).await.status();
        assert_eq!(status("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        for (verb, expected) in [
            ("enable", StatusCode::OK),
            ("disable", StatusCode::SERVICE_UNAVAILABLE),
        ] {
            let post = Request::post(format!("/readyz/{verb}")).body(Body::empty());
            assert_eq!(
                send(&service, post.unwrap()).await.status(),
                StatusCode::ACCEPTED
            );
            assert_eq!(status("/readyz").await, expected);
        }
        assert_eq!(status("/healthz").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn injected_errors_spare_the_probes() {
        let service = service(&["--random-error"]);
        let mut failed = 0;
        for _ in 0..100 {
            failed += u32::from(send(&service, get("/")).await.status().is_server_error());
            assert_eq!(
                send(&service, get("/readyz")).await.status(),
                StatusCode::OK
            );
        }
        assert!((5..95).contains(&failed), "{failed} of 100 failed");
    }
}
