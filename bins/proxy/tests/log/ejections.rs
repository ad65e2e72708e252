//! Endpoints that are left out, and that serve again.

use crate::{Log, support::*};
use mesh_profile::ProfileSpec;
use mesh_proxy::Role;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::SeqCst},
};

#[tokio::test]
async fn an_endpoint_that_is_left_out_and_comes_back_is_a_line_each() {
    let log = Log::keep();
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

    // Another test of this process fills the log, too.
    let addr = format!("addr={} ", sick.addr());
    let (out, back) = ("endpoint left out", "endpoint serves again");
    while log.lines(&[&addr, out]).is_empty() {
        client.get("books:7002", "/").await.unwrap();
    }
    assert!(log.lines(&[&addr, back]).is_empty());
    fails.store(false, SeqCst);
    while log.lines(&[&addr, back]).is_empty() {
        client.get("books:7002", "/").await.unwrap();
    }
    for said in [log.lines(&[&addr, out]), log.lines(&[&addr, back])] {
        let [line] = &said[..] else {
            panic!("{said:?}");
        };
        assert!(line.contains("WARN"), "{line}");
        assert!(line.contains("leaf=\"books.shop:7002\""), "{line}");
    }
}
