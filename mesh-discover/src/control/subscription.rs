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

/// Limit for the first answers about all leaves of a changed set; after it the destination is
/// published with the endpoints known so far. A new destination with one leaf waits
/// [`first_endpoints`](super::ControlConfig::first_endpoints).
const GRACE: Duration = Duration::from_secs(1);

/// Maximum messages queued for the destination: enough that a burst costs no task switch
/// per message, few enough that flow control stops a flood.
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

/// Follows the profile and the endpoints of each leaf, each stream in its own task that
/// ends with this future.
async fn run(shared: Arc<Shared>, authority: Arc<str>, publisher: &Publisher<Destination>) {
    let (events, mut received) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let mut leaves: HashMap<Arc<str>, AbortHandle> = HashMap::new();
    let mut assembly = Assembly::new(authority.clone());
    let mut incomplete_since: Option<Instant> = None;
    let mut pending: Option<PendingRemoval<'_>> = None;
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
        let silence = after(assembly.silent_since(), shared.config.removal_grace);
        let removal = after(
            assembly.removal_pending_since(),
            shared.config.removal_grace,
        );
        let mut overdue = false;
        tokio::select! {
            event = received.recv() => match event {
                Some(Event::Profile { first, profile }) => assembly.profile(*profile, first),
                Some(Event::Endpoints { leaf, first, update }) => {
                    assembly.update(&leaf, first, update);
                }
                Some(Event::Requested { leaf }) => assembly.leaf_requested(&leaf),
                Some(Event::Ended { leaf: Some(leaf) }) => assembly.leaf_ended(&leaf),
                Some(Event::Ended { leaf: None }) => assembly.profile_ended(),
                None => return,
            },
            () = grace => overdue = true,
            () = removal => assembly.apply_overdue_removals(shared.config.removal_grace),
            () = silence => assembly.drop_silent(shared.config.removal_grace),
            // Reaps the tasks of leaves that are gone.
            Some(_) = tasks.join_next() => continue,
        }

        // On every event: a removal whose grace period has passed changes the leaves, too.
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
        if assembly.removal_pending_since().is_none() {
            pending = None;
        } else if pending.is_none() {
            tracing::warn!(%authority, "a new controller does not know this destination; keeping its endpoints for the grace period");
            pending = Some(PendingRemoval::begin(&shared.pending_removals));
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

/// Counts one destination with pending removals until it is dropped.
struct PendingRemoval<'a>(&'a AtomicU64);

impl<'a> PendingRemoval<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for PendingRemoval<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Waits until `limit` after `since`; never ends if `since` is `None`.
async fn after(since: Option<Instant>, limit: Duration) {
    match since.and_then(|since| since.checked_add(limit)) {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}
