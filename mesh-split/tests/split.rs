//! Calls through a split: exact turns, sticky subjects, changes while running.

use mesh_split::{Leaf, NoLeaves, SharedCounter, Split, SplitHandle, cookie, subject};
use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Service, ServiceExt};
use tower_test::{assert_request_eq, mock};

/// Answers with its name; `up` is what `available_if` asks.
#[derive(Clone, Debug)]
struct Named {
    name: &'static str,
    up: Arc<AtomicBool>,
}

impl Named {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            up: Arc::new(AtomicBool::new(true)),
        }
    }

    fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }
}

impl Service<u64> for Named {
    type Response = &'static str;
    type Error = Infallible;
    type Future = Ready<Result<&'static str, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: u64) -> Self::Future {
        ready(Ok(self.name))
    }
}

async fn call<S>(split: &mut S, n: u64) -> &'static str
where
    S: Service<u64, Response = &'static str, Error = Infallible>,
{
    split.ready().await.unwrap().call(n).await.unwrap()
}

async fn count<S>(split: &mut S, calls: u64) -> HashMap<&'static str, u64>
where
    S: Service<u64, Response = &'static str, Error = Infallible>,
{
    let mut counts = HashMap::new();
    for n in 0..calls {
        *counts.entry(call(split, n).await).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn leaves_are_called_in_exact_proportion_and_zero_receives_nothing() {
    let leaves = [("a", 900), ("b", 100), ("c", 0)];
    let mut split = Split::new(leaves.map(|(name, weight)| (Named::new(name), weight))).unwrap();
    for calls in 1..=1_000 {
        let counts = count(&mut split.clone(), 10).await;
        assert_eq!(counts, HashMap::from([("a", 9), ("b", 1)]), "{calls}");
    }
    assert_eq!(count(&mut split, 100).await["b"], 10);
}

#[tokio::test]
async fn clones_take_turns_from_one_sequence() {
    let mut one = Split::new([(Named::new("a"), 1), (Named::new("b"), 1)]).unwrap();
    let mut other = one.clone();
    for n in 0..10 {
        assert_eq!(call(&mut one, n).await, "a");
        assert_eq!(call(&mut other, n).await, "b");
    }
}

#[tokio::test]
async fn splits_built_separately_are_exact_together_with_one_counter() {
    let counter = SharedCounter::new();
    let build = |b| [(Named::new("a"), 3), (Named::new("b"), b)];
    let mut one = Split::with_counter(&counter, build(1)).unwrap();
    let mut other = Split::with_counter(&counter, build(1)).unwrap();

    let mut counts = HashMap::<_, u64>::new();
    for n in 0..20 {
        *counts.entry(call(&mut one, n).await).or_default() += 1;
        *counts.entry(call(&mut other, n).await).or_default() += 1;
    }
    assert_eq!(counts, HashMap::from([("a", 30), ("b", 10)]));

    // A third joins in by way of leaves of its own.
    let third = Split::with_counter(&counter, [(Named::new("c"), 1)]).unwrap();
    third.handle().set(build(1)).unwrap();
    let turns = [&one, &third, &other, &one].map(Clone::clone);
    let mut bs = 0;
    for mut split in turns {
        bs += u64::from(call(&mut split, 0).await == "b");
    }
    assert_eq!(bs, 1);
    drop(third);

    // One worker hears of new weights before the other; each is exact, then both are.
    one.handle().set(build(3)).unwrap();
    assert_eq!(count(&mut one, 4).await["b"], 2);
    assert_eq!(count(&mut other, 4).await["b"], 1);
    other.handle().set(build(3)).unwrap();
    assert_eq!(call(&mut other, 0).await, "a");
    assert_eq!(call(&mut one, 0).await, "b");
}

#[tokio::test]
async fn no_weight_is_an_error_that_changes_nothing() {
    let none = || [(Named::new("a"), 0)];
    assert_eq!(Split::new(none()).unwrap_err(), NoLeaves);
    assert_eq!(
        Split::<Named>::new::<(Named, u32)>([]).unwrap_err(),
        NoLeaves
    );

    let mut split = Split::new([(Named::new("a"), 1)]).unwrap();
    assert_eq!(split.handle().set(none()), Err(NoLeaves));
    assert_eq!(call(&mut split, 0).await, "a");
}

#[tokio::test]
async fn new_leaves_are_seen_by_every_clone_at_its_next_call() {
    let mut split = Split::new([(Named::new("a"), 1)]).unwrap();
    let mut clone = split.clone();
    assert_eq!(call(&mut clone, 0).await, "a");

    let handle: SplitHandle<_> = split.handle();
    handle.set([(Named::new("b"), 1)]).unwrap();
    assert_eq!(call(&mut split, 0).await, "b");
    assert_eq!(call(&mut clone, 0).await, "b");
}

#[tokio::test]
async fn replacing_services_alone_keeps_the_turns() {
    let build = || [(Named::new("a"), 1), (Named::new("b"), 1)];
    let mut split = Split::new(build()).unwrap();
    for n in 0..10 {
        assert_eq!(call(&mut split, n).await, ["a", "b"][n as usize % 2]);
        split.handle().set(build()).unwrap();
    }
}

#[tokio::test]
async fn a_leaf_that_is_unavailable_is_skipped_and_its_share_goes_to_the_others() {
    let [a, b, c] = ["a", "b", "c"].map(Named::new);
    let leaves = [(a.clone(), 50), (b.clone(), 40), (c.clone(), 10)];
    let mut split = Split::new(leaves).unwrap().available_if(Named::is_up);

    a.up.store(false, Relaxed);
    let counts = count(&mut split, 1_000).await;
    assert!(!counts.contains_key("a"));
    assert!(counts["b"].abs_diff(800) < 5, "{counts:?}");

    // No leaf is available, so the drawn one gets the call and may wait.
    b.up.store(false, Relaxed);
    c.up.store(false, Relaxed);
    assert_eq!(count(&mut split, 100).await["a"], 50);

    a.up.store(true, Relaxed);
    assert_eq!(count(&mut split, 100).await["a"], 100);
}

#[tokio::test]
async fn a_subject_keeps_its_leaf_and_a_request_without_one_takes_its_turn() {
    let leaves = || ["a", "b"].map(|name| Leaf::new(Named::new(name), 1).named(name));
    let by_user = |user: &u64| (*user > 0).then(|| subject(user.to_le_bytes()));
    let mut split = Split::new(leaves()).unwrap().sticky_by(by_user);
    for user in 1..100 {
        let leaf = call(&mut split, user).await;
        assert_eq!(call(&mut split.clone(), user).await, leaf);
        // The order in which leaves are listed means nothing once they have names.
        let [a, b] = leaves();
        let mut turned = Split::new([b, a]).unwrap().sticky_by(by_user);
        assert_eq!(call(&mut turned, user).await, leaf);
    }
    for _ in 0..10 {
        assert_eq!(call(&mut split, 0).await, "a");
        assert_eq!(call(&mut split, 0).await, "b");
    }
}

#[tokio::test]
async fn a_header_or_a_cookie_may_be_the_subject() {
    type Req = http::Request<()>;
    let leaf = |name: &'static str| {
        let answer = tower::service_fn(move |_: Req| ready(Ok::<_, Infallible>(name)));
        Leaf::new(answer, 1).named(name)
    };
    let header = |req: &Req| req.headers().get("x-user").map(subject);
    let session = |req: &Req| {
        let cookies = req.headers().get("cookie")?.to_str().ok()?;
        cookie(cookies, "session").map(subject)
    };
    let mut by_header = Split::new(["a", "b"].map(leaf)).unwrap().sticky_by(header);
    let mut by_cookie = Split::new(["a", "b"].map(leaf)).unwrap().sticky_by(session);
    let mut seen = HashSet::new();
    for user in 0..50 {
        let with = |name, value: String| http::Request::get("/").header(name, value).body(());
        let ada = || with("x-user", user.to_string()).unwrap();
        let tab = |n: u32| with("cookie", format!("tab={n}; session={user}")).unwrap();
        let leaf = by_header.call(ada()).await.unwrap();
        assert_eq!(by_header.call(ada()).await.unwrap(), leaf);
        assert_eq!(by_cookie.call(tab(1)).await.unwrap(), leaf);
        assert_eq!(by_cookie.call(tab(2)).await.unwrap(), leaf);
        seen.insert(leaf);
    }
    assert_eq!(seen.len(), 2);
}

#[tokio::test]
async fn a_subject_whose_leaf_is_out_comes_back_with_it() {
    let [a, b] = ["a", "b"].map(Named::new);
    let mut split = Split::new([("a", a.clone(), 1), ("b", b, 1)])
        .unwrap()
        .available_if(Named::is_up)
        .sticky_by(|user: &u64| Some(subject(user.to_le_bytes())));

    for user in 0..50 {
        let before = call(&mut split, user).await;
        a.up.store(false, Relaxed);
        assert_eq!(call(&mut split, user).await, "b");
        a.up.store(true, Relaxed);
        assert_eq!(call(&mut split, user).await, before);
    }
}

#[tokio::test]
async fn the_chosen_leaf_is_made_ready_in_the_future_and_others_are_left_alone() {
    let (a, mut a_handle) = mock::pair::<u64, &'static str>();
    let (b, mut b_handle) = mock::pair::<u64, &'static str>();
    a_handle.allow(0);
    let mut split = Split::new([(a, 1), (b, 1)]).unwrap();

    // The first call belongs to `a`, which is busy: it waits without delaying other calls.
    assert_ready_ok!(task::spawn(std::future::poll_fn(|cx| split.poll_ready(cx))).poll());
    let mut first = task::spawn(split.call(1));
    assert_pending!(first.poll());

    let mut second = task::spawn(split.call(2));
    assert_pending!(second.poll());
    assert_request_eq!(b_handle, 2).send_response("b");
    assert_eq!(assert_ready_ok!(second.poll()), "b");

    // Replacing the leaves does not disturb a call that has chosen.
    let (c, _c_handle) = mock::pair();
    split.handle().set([(c, 1)]).unwrap();
    a_handle.allow(1);
    assert!(first.is_woken());
    assert_pending!(first.poll());
    assert_request_eq!(a_handle, 1).send_response("a");
    assert_eq!(assert_ready_ok!(first.poll()), "a");
}

#[tokio::test]
async fn a_leaf_that_cannot_become_ready_fails_the_calls_it_draws() {
    let (a, mut a_handle) = mock::pair::<u64, &'static str>();
    let (b, _b_handle) = mock::pair::<u64, &'static str>();
    a_handle.send_error("broken");
    let mut split = Split::new([(a, 1), (b, 1)]).unwrap();
    let error = assert_ready_err!(task::spawn(split.call(1)).poll());
    assert_eq!(error.to_string(), "broken");
    assert_pending!(task::spawn(split.call(2)).poll());
}

#[tokio::test]
async fn the_leaf_called_last_is_kept_until_the_leaves_change() {
    let [a, b] = ["a", "b"].map(Named::new);
    let clones = || Arc::strong_count(&a.up) - 1;
    let mut split = Split::new([(a.clone(), 1)]).unwrap();
    assert_eq!(clones(), 1);
    for n in 0..3 {
        assert_eq!(call(&mut split, n).await, "a");
        assert_eq!(clones(), 2, "one clone for all calls");
    }
    let mut other = split.clone();
    assert_eq!(clones(), 2, "a clone of the split has called nobody yet");

    split.handle().set([(b, 1)]).unwrap();
    assert_eq!(call(&mut other, 3).await, "b");
    assert_eq!(call(&mut split, 4).await, "b");
    assert_eq!(clones(), 0);
}

#[test]
fn a_split_is_as_sendable_as_its_leaves() {
    fn check<T: Send + Sync + Clone>(_: &T) {}
    let split = Split::new([(Named::new("a"), 1)]).unwrap();
    check(&split);
    check(&split.handle());
    check(&split.sticky_by(|user: &u64| Some(*user)));
}
