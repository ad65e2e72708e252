//! Reads every sidecar's metrics, once a second.

use super::{Reading, Sidecar, Store};
use crate::source::BoxError;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt, Empty};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use std::{
    net::SocketAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// The scrape interval, and so the resolution of windows.
const EVERY: Duration = Duration::from_secs(1);

/// Timeout of one scrape; below the interval, so that scrapes do not pile up.
const PATIENCE: Duration = Duration::from_millis(900);

/// The number of sidecars scraped at once. Each scrape reuses a buffer: allocating a few hundred
/// kilobytes anew every second would fragment the heap.
const AT_ONCE: usize = 4;

/// The read buffer of a connection; hyper's default limit is 400 KiB.
const READ: usize = 16 << 10;

/// The longest text that is read: beyond any sidecar's bound on its own series.
const MAX_TEXT: usize = 16 << 20;

/// A sidecar to scrape, and its admin address.
pub type Target = (Sidecar, SocketAddr);

/// Scrapes the sidecars that `targets` returns, once a second, for as long as it is polled.
///
/// A sidecar that does not answer keeps its history until that ages out.
pub async fn run(store: &Mutex<Store>, targets: impl Fn() -> Vec<Target>) {
    let client = client();
    let buffers = Mutex::new(Vec::with_capacity(AT_ONCE));
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        stream::iter(targets())
            .for_each_concurrent(AT_ONCE, |(source, admin)| {
                let (client, buffers) = (&client, &buffers);
                async move {
                    let mut buffer = lock(buffers).pop().unwrap_or_default();
                    match timeout(PATIENCE, fetch(client, admin, &mut buffer)).await {
                        Ok(Ok(())) => match str::from_utf8(&buffer) {
                            Ok(text) => ingest(store, &source, text),
                            Err(_) => tracing::debug!(pod = %source.pod, "not text"),
                        },
                        Ok(Err(error)) => {
                            tracing::debug!(pod = %source.pod, "not read: {error}");
                        }
                        Err(_) => tracing::debug!(pod = %source.pod, "not read in time"),
                    }
                    buffer.clear();
                    lock(buffers).push(buffer);
                }
            })
            .await;
        lock(store).expire(Instant::now().into_std());
    }
}

/// Takes what `source` has counted into the store.
pub(crate) fn ingest(store: &Mutex<Store>, source: &Sidecar, text: &str) {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let reading = Reading {
        text,
        at: Instant::now().into_std(),
        calendar: since_1970.unwrap_or_default(),
    };
    lock(store).ingest(source, &reading);
}

/// A panic elsewhere leaves a store that is at worst short of one reading.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Http = Client<HttpConnector, Empty<Bytes>>;

/// Keeps one connection to each sidecar.
fn client() -> Http {
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(1)
        .pool_idle_timeout(10 * EVERY)
        .http1_max_buf_size(READ)
        .build_http()
}

async fn fetch(client: &Http, admin: SocketAddr, into: &mut Vec<u8>) -> Result<(), BoxError> {
    let uri = Uri::builder()
        .scheme("http")
        .authority(admin.to_string())
        .path_and_query("/metrics")
        .build()?;
    let response = client.get(uri).await?;
    let status = response.status();
    if status != StatusCode::OK {
        return Err(format!("answered {status}").into());
    }
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            if into.len() + data.len() > MAX_TEXT {
                return Err(format!("longer than {MAX_TEXT} bytes").into());
            }
            into.extend_from_slice(&data);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, routing::get};

    fn source(pod: &str) -> Sidecar {
        Sidecar {
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
