//! Reads every sidecar's metrics, once a second.

use super::{Reading, Source, Store};
use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// How often, and so how fine a window is.
const EVERY: Duration = Duration::from_secs(1);

/// How long a sidecar may take to answer; below the interval, so that readings do not pile up.
const PATIENCE: Duration = Duration::from_millis(900);

/// How many sidecars are read at once.
const AT_ONCE: usize = 32;

/// The longest text that is read: beyond any sidecar's bound on its own series.
const MAX_TEXT: usize = 16 << 20;

/// A sidecar to read: whose it is, and its admin address.
pub type Target = (Source, SocketAddr);

/// Reads those that `targets` names each time, for as long as it is polled.
///
/// One that does not answer keeps its history until that ages out.
pub async fn run(store: &Mutex<Store>, targets: impl Fn() -> Vec<Target>) {
    let scraper = Scraper::new();
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        stream::iter(targets())
            .for_each_concurrent(AT_ONCE, |(source, admin)| {
                let scraper = &scraper;
                async move {
                    match timeout(PATIENCE, scraper.fetch(admin)).await {
                        Ok(Ok(text)) => ingest(store, &source, &text),
                        Ok(Err(error)) => {
                            tracing::debug!(pod = %source.pod, "not read: {error:#}");
                        }
                        Err(_) => tracing::debug!(pod = %source.pod, "not read in time"),
                    }
                }
            })
            .await;
        lock(store).expire(Instant::now().into_std());
    }
}

fn ingest(store: &Mutex<Store>, source: &Source, text: &str) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let reading = Reading {
        text,
        at: Instant::now().into_std(),
        calendar: since_1970.unwrap_or_default(),
    };
    lock(store).ingest(source, &reading);
}

/// A panic elsewhere leaves a store that is at worst short of one reading.
fn lock(store: &Mutex<Store>) -> std::sync::MutexGuard<'_, Store> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps one connection to each sidecar.
struct Scraper(Client<HttpConnector, Empty<Bytes>>);

impl Scraper {
    fn new() -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(10 * EVERY)
            .build_http();
        Self(client)
    }

    async fn fetch(&self, admin: SocketAddr) -> Result<String> {
        let uri = Uri::builder()
            .scheme("http")
            .authority(admin.to_string())
            .path_and_query("/metrics")
            .build()?;
        let response = self.0.get(uri).await?;
        let status = response.status();
        ensure!(status == StatusCode::OK, "answered {status}");
        let body = Limited::new(response.into_body(), MAX_TEXT).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        String::from_utf8(body.into()).context("not text")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};

    fn source(pod: &str) -> Source {
        Source {
            namespace: "booksapp".into(),
            deployment: pod.into(),
            pod: pod.into(),
        }
    }

    async fn sidecar(text: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = listener.local_addr().unwrap();
        let app = Router::new().route("/metrics", get(move || async move { text }));
        tokio::spawn(async move { axum::serve(listener, app).await });
        admin
    }

    #[tokio::test]
    async fn a_sidecar_that_does_not_answer_holds_up_no_other() {
        let good = sidecar("request_total{direction=\"inbound\"} 1\n").await;
        // It accepts, and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let targets = vec![
            (source("silent"), silent.local_addr().unwrap()),
            (source("good"), good),
        ];
        let store = Mutex::new(Store::new());
        let known = async {
            while lock(&store).sources().next().is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = run(&store, || targets.clone()) => {}
            () = known => {}
        }
        let sources: Vec<_> = lock(&store).sources().cloned().collect();
        assert_eq!(sources, [source("good")]);
    }
}
