//! Tests of the grace period before the removals of a new controller are applied.

use super::controller::*;
use linkerd2_proxy_api::destination::{DestinationProfile, Update};
use std::time::Duration;
use tokio::time::advance;

const SECOND: Duration = Duration::from_secs(1);

/// While this lives, paused time does not move by itself, as it otherwise does whenever only the
/// network is waited for.
struct Frozen {
    _thaw: std::sync::mpsc::Sender<()>,
    thread: tokio::task::JoinHandle<()>,
}

impl Frozen {
    fn begin() -> Self {
        let (thaw, frozen) = std::sync::mpsc::channel();
        let thread = tokio::task::spawn_blocking(move || {
            let _ = frozen.recv_timeout(Duration::from_secs(30));
        });
        Self {
            _thaw: thaw,
            thread,
        }
    }

    /// Waits for what other threads and the network do.
    async fn until(&self, what: impl Fn() -> bool) {
        while !what() {
            assert!(!self.thread.is_finished(), "waited for 30 s in vain");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn removals_of_a_new_controller_wait_for_the_grace_period() {
    let frozen = Frozen::begin();
    let mut controller = Controller::new().await;
    let control = controller.client_with_removal_grace(SECOND);
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    // The second controller corrects itself; the third does not.
    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, endpoints) = controller.both().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    endpoints.send(Ok(none())).await.unwrap();
    profile.send(Ok(named(&[]))).await.unwrap();
    endpoints.send(Ok(add(&[2, 3]))).await.unwrap();
    assert_eq!(next(&mut watch).await, [2, 3]);
    frozen.until(|| control.pending_removals() == 0).await;

    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, endpoints) = controller.both().await;
    profile
        .send(Ok(DestinationProfile::default()))
        .await
        .unwrap();
    frozen.until(|| control.pending_removals() == 1).await;
    endpoints.send(Ok(none())).await.unwrap();
    endpoints.send(Ok(Update { update: None })).await.unwrap();
    frozen.until(|| control.ignored() == 1).await;
    assert_eq!(ports(&watch.current().unwrap()), [2, 3]);
    advance(SECOND).await;
    let last = watch.changed().await.unwrap();
    assert!(!last.is_known() && last.backends().is_empty());
    assert_eq!((control.pending_removals(), control.ignored()), (0, 1));
}

#[tokio::test]
async fn a_workload_returns_after_its_removal_was_applied() {
    let mut controller = Controller::new().await;
    let control = controller.client_with_removal_grace(Duration::from_millis(1));
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1]);

    let mut controller = Controller::start(controller.kill().await).await;
    let (profile, endpoints) = controller.both().await;
    let unknown = DestinationProfile::default();
    profile.send(Ok(unknown)).await.unwrap();
    while watch.changed().await.unwrap().is_known() {}
    // The stream of a removed leaf is closed; messages on it are dropped.
    let _ = endpoints.send(Ok(add(&[1, 2]))).await;
    endpoints.closed().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    while next(&mut watch).await != [1, 2] {}
}

#[tokio::test(start_paused = true)]
async fn pending_removals_end_with_their_stream() {
    let frozen = Frozen::begin();
    let mut controller = Controller::new().await;
    let control = controller.client_with_removal_grace(SECOND);
    let mut watch = control.destination("web");
    let (_, profile) = controller.profile().await;
    profile.send(Ok(named(&[]))).await.unwrap();
    let (_, endpoints) = controller.endpoints().await;
    endpoints.send(Ok(add(&[1, 2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    // A controller that ends within the grace period removes nothing, then or later.
    let mut addr = controller.kill().await;
    for _ in 0..2 {
        let mut controller = Controller::start(addr).await;
        let (profile, endpoints) = controller.both().await;
        let unknown = DestinationProfile::default();
        profile.send(Ok(unknown)).await.unwrap();
        endpoints.send(Ok(none())).await.unwrap();
        frozen.until(|| control.pending_removals() == 1).await;
        advance(SECOND * 6 / 10).await;
        addr = controller.kill().await;
        frozen.until(|| control.pending_removals() == 0).await;
    }
    advance(SECOND).await;
    assert_eq!(ports(&watch.current().unwrap()), [1, 2]);

    // A repeated removal does not extend the grace period.
    let mut controller = Controller::start(addr).await;
    let (_profile, endpoints) = controller.both().await;
    endpoints.send(Ok(none())).await.unwrap();
    frozen.until(|| control.pending_removals() == 1).await;
    advance(SECOND * 6 / 10).await;
    endpoints.send(Ok(none())).await.unwrap();
    endpoints.send(Ok(Update { update: None })).await.unwrap();
    frozen.until(|| control.ignored() == 1).await;
    assert_eq!(ports(&watch.current().unwrap()), [1, 2]);
    advance(SECOND * 4 / 10).await;
    assert_eq!(next(&mut watch).await, [0; 0]);
}

#[tokio::test(start_paused = true)]
async fn each_leaf_has_its_own_grace_period() {
    let frozen = Frozen::begin();
    let mut controller = Controller::new().await;
    let control = controller.client_with_removal_grace(SECOND);
    let mut watch = control.destination("web");
    let split = named(&[("a.shop.svc:80", 1), ("b.shop.svc:80", 1)]);
    let (_, profile) = controller.profile().await;
    profile.send(Ok(split)).await.unwrap();
    let leaves = async |controller: &mut Controller| {
        let (mut a, mut b) = (None, None);
        while a.is_none() || b.is_none() {
            match controller.opened.recv().await.unwrap() {
                Opened::Endpoints(asked, say) if asked.path == "a.shop.svc:80" => a = Some(say),
                Opened::Endpoints(_, say) => b = Some(say),
                Opened::Profile(..) => {}
            }
        }
        (a.unwrap(), b.unwrap())
    };
    let (a, b) = leaves(&mut controller).await;
    a.send(Ok(add(&[1]))).await.unwrap();
    b.send(Ok(add(&[2]))).await.unwrap();
    assert_eq!(ports(&watch.ready().await.unwrap()), [1, 2]);

    let mut controller = Controller::start(controller.kill().await).await;
    let (a, b) = leaves(&mut controller).await;
    a.send(Ok(none())).await.unwrap();
    frozen.until(|| control.pending_removals() == 1).await;
    advance(SECOND * 9 / 10).await;
    b.send(Ok(none())).await.unwrap();
    b.send(Ok(Update { update: None })).await.unwrap();
    frozen.until(|| control.ignored() == 1).await;
    advance(SECOND / 10).await;
    assert_eq!(next(&mut watch).await, [2]);
    assert_eq!(control.pending_removals(), 1);
    advance(SECOND * 9 / 10).await;
    assert_eq!(next(&mut watch).await, [0; 0]);
    assert_eq!(control.pending_removals(), 0);
}
