use super::{
    Shared,
    assembly::Assembly,
    stream::{Event, follow_leaf, follow_profile},
};
use crate::{Destination, Publisher};
use std::{
    collections::HashMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};

/// Time that a changed set of leaves waits until all of them have been answered for; then it is
/// announced as it is. A new destination with one leaf waits
/// [`first_endpoints`](super::ControlConfig::first_endpoints).
const GRACE: Duration = Duration::from_secs(1);

/// Messages that wait to be taken into the destination: enough that a burst costs no switch
/// each, few enough that a flood waits on the wire.
const QUEUE: usize = 16;

/// Keeps `publisher` up to date until nobody reads it.
pub(super) async fn follow(
    shared: Arc<Shared>,
    authority: Arc<str>,
    publisher: Arc<Publisher<Destination>>,
) {
    let mut run = pin!(run(shared.clone(), authority.clone(), &publisher));
    loop {
        tokio::select! {
            () = publisher.closed() => {
                if shared.end_if_unread(&authority, &publisher) {
                    return;
                }
            }
            () = &mut run => return,
        }
    }
}

/// One stream of the profile and one of each leaf's endpoints, each in a task of its own that
/// ends with this future.
async fn run(shared: Arc<Shared>, authority: Arc<str>, publisher: &Publisher<Destination>) {
    let (events, mut received) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let mut leaves: HashMap<Arc<str>, AbortHandle> = HashMap::new();
    let mut assembly = Assembly::new(authority.clone());
    let mut incomplete_since: Option<Instant> = None;
    let mut doubted: Option<Doubted<'_>> = None;
    let mut is_announced = false;
    tasks.spawn(follow_profile(
        shared.clone(),
        authority.clone(),
        events.clone(),
    ));

    loop {
        let is_new = !is_announced && assembly.leaves().nth(1).is_none();
        let grace = match is_new {
            true => shared.config.first_endpoints,
            false => GRACE,
        };
        let grace = after(incomplete_since, grace);
        let silence = after(assembly.silent_since(), shared.config.doubt);
        let doubt = after(assembly.doubted_since(), shared.config.doubt);
        let mut overdue = false;
        tokio::select! {
            event = received.recv() => match event {
                Some(Event::Profile { first, profile }) => assembly.profile(*profile, first),
                Some(Event::Endpoints { leaf, first, update }) => {
                    assembly.update(&leaf, first, update);
                }
                Some(Event::Asked { leaf }) => assembly.leaf_asked(&leaf),
                Some(Event::Ended { leaf: Some(leaf) }) => assembly.leaf_ended(&leaf),
                Some(Event::Ended { leaf: None }) => assembly.profile_ended(),
                None => return,
            },
            () = grace => overdue = true,
            () = doubt => assembly.believe(shared.config.doubt),
            () = silence => assembly.drop_silent(shared.config.doubt),
            // Reaps the tasks of leaves that are gone.
            Some(_) = tasks.join_next() => continue,
        }

        // Always: not only a new profile, but also one that comes to be believed, changes them.
        leaves.retain(|leaf, task| {
            let wanted = assembly.has_leaf(leaf);
            if !wanted {
                task.abort();
            }
            wanted
        });
        for leaf in assembly.leaves() {
            leaves.entry(leaf.clone()).or_insert_with(|| {
                tasks.spawn(follow_leaf(shared.clone(), leaf.clone(), events.clone()))
            });
        }

        shared.ignored.fetch_add(assembly.take_ignored(), Relaxed);
        if assembly.doubted_since().is_none() {
            doubted = None;
        } else if doubted.is_none() {
            tracing::warn!(%authority, "a new controller knows nothing of it; waiting for more");
            doubted = Some(Doubted::begin(&shared.doubted));
        }
        if assembly.is_complete() || overdue {
            incomplete_since = None;
            if let Some(destination) = assembly.destination() {
                publisher.publish(destination);
                is_announced = true;
            }
        } else if incomplete_since.is_none() {
            incomplete_since = Some(Instant::now());
        }
    }
}

/// Something that is said of a destination is doubted, as long as this lives.
struct Doubted<'a>(&'a AtomicU64);

impl<'a> Doubted<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Doubted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Waits until so long after `since`; for ever without it.
async fn after(since: Option<Instant>, limit: Duration) {
    match since.and_then(|since| since.checked_add(limit)) {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
