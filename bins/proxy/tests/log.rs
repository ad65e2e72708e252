//! What the log says, of all that happens here: a process has one log.

mod support;

use mesh_profile::ProfileSpec;
use mesh_proxy::Role;
use std::{
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};
use support::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self, with: &str) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let text = String::from_utf8_lossy(&log);
        let lines = text.lines().filter(|line| line.contains(with));
        lines.map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn an_endpoint_that_is_left_out_and_comes_back_is_a_line_each() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let fails = Arc::new(AtomicBool::new(true));
    let status = fails.clone();
    let sick = Upstream::answering(move |_| if status.load(SeqCst) { 503 } else { 200 }).await;
    let well = Upstream::answering(|_| 200).await;
    let discovery = Discovery::default();
    let books = destination(
        "books.shop:7002",
        ProfileSpec::default(),
        &[sick.addr(), well.addr()],
    );
    discovery.set("books:7002", books);
    let mut config = config([Role::Outbound]);
    config.limits.failures = 1;
    let proxy = Running::discovering(config, &discovery);
    let mut client = Client::http1(proxy.addr()).await;

    let (out, back) = ("endpoint left out", "endpoint serves again");
    while log.lines(out).is_empty() {
        client.get("books:7002", "/").await.unwrap();
    }
    assert!(log.lines(back).is_empty());
    fails.store(false, SeqCst);
    while log.lines(back).is_empty() {
        client.get("books:7002", "/").await.unwrap();
    }
    for said in [log.lines(out), log.lines(back)] {
        let [line] = &said[..] else {
            panic!("{said:?}");
        };
        assert!(line.contains("WARN"), "{line}");
        assert!(line.contains("leaf=\"books.shop:7002\""), "{line}");
        assert!(line.contains(&format!("addr={}", sick.addr())), "{line}");
    }
}
