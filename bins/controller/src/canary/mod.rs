//! Canary releases: one driver for each Canary resource.
//!
//! The decisions are those of [`mesh_canary`]; this room observes, measures, calls webhooks and
//! carries out what was decided, by [`Fleet`](mesh_control::source::Fleet) and
//! [`ResourceStore`](mesh_control::source::ResourceStore) alone.

mod driver;
mod http;
mod journal;
mod metrics;
mod observe;
mod plan;
mod prometheus;
mod status;
mod webhook;
mod world;

pub(crate) use self::{plan::plan, status::CanaryState, world::World};

use driver::{Command, Driver};
use mesh_canary::{Event, Plan};
use mesh_control::model::{Canary, Resource};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::sleep,
};

/// Namespace and name of a Canary.
type Key = (Arc<str>, Arc<str>);

/// A resource with the plan that was made of it; none once the resource is deleted.
type Spec = Option<(Arc<Canary>, Plan)>;

/// Commands that wait for a driver.
const MAX_COMMANDS: usize = 16;

/// Changes of the index that come within this time are looked at together: looking costs as much as
/// there are objects.
const SETTLE: Duration = Duration::from_millis(200);

/// The Canaries under way. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Canaries(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    drivers: BTreeMap<Key, Handle>,
    /// Canaries whose workload another one drives.
    conflicts: BTreeMap<Key, CanaryState>,
}

/// The ends of a driver.
#[derive(Debug)]
struct Handle {
    specs: watch::Sender<Spec>,
    status: watch::Receiver<CanaryState>,
    commands: mpsc::Sender<Command>,
}

impl Canaries {
    /// Drives the Canaries of the index, until it is gone.
    pub(crate) async fn run(&self, world: World) {
        let world = Arc::new(world);
        let mut changes = world.index.changes();
        let mut drivers = JoinSet::new();
        // Of those that were deleted while no controller ran, or not to the end.
        for canary in journal::canaries(&world.state) {
            if let Ok(plan) = plan(&canary) {
                let key = (canary.namespace.clone(), canary.name.clone());
                let handle = start(&world, &mut drivers, &canary.into(), plan);
                self.known().drivers.insert(key, handle);
            }
        }
        loop {
            self.follow(&world, &mut drivers);
            tokio::select! {
                is_there = changes.changed() => match is_there {
                    true => sleep(SETTLE).await,
                    false => return,
                },
                Some(ended) = drivers.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!("a canary's driver failed: {error}");
                    }
                    self.known().drivers.retain(|_, it| !it.commands.is_closed());
                }
            }
        }
    }

    /// Returns all Canaries by namespace and name.
    pub(crate) fn list(&self) -> Vec<CanaryState> {
        let known = self.known();
        let driven = known.drivers.iter();
        let driven = driven.map(|(key, it)| (key.clone(), it.status.borrow().clone()));
        let mut all: BTreeMap<Key, CanaryState> = driven.collect();
        all.extend(known.conflicts.clone());
        all.into_values().collect()
    }

    /// Gives a driver a command and returns the events that it caused; `None` if there is no such
    /// Canary, or it is not driven.
    pub(crate) async fn command(
        &self,
        namespace: &str,
        name: &str,
        event: Event,
    ) -> Option<Vec<String>> {
        let commands = {
            let known = self.known();
            let handle = known.drivers.get(&(namespace.into(), name.into()))?;
            handle.commands.clone()
        };
        let (reply, answer) = oneshot::channel();
        commands.send((event, reply)).await.ok()?;
        answer.await.ok()
    }

    /// Starts, updates and ends drivers.
    fn follow(&self, world: &Arc<World>, drivers: &mut JoinSet<()>) {
        let snapshot = world.index.snapshot();
        let mut known = self.known();
        let mut present = BTreeSet::new();
        let mut targets = BTreeMap::new();
        known.conflicts.clear();
        for resource in &snapshot.resources {
            let Resource::Canary(canary) = resource else {
                continue;
            };
            // One that cannot be driven was refused with the reason.
            let Ok(plan) = plan(canary) else {
                continue;
            };
            let key = (canary.namespace.clone(), canary.name.clone());
            let target = (canary.namespace.clone(), plan.name.clone());
            // Of several with one target, the first by name drives it.
            if let Some(owner) = targets.get(&target) {
                let reason = format!("The workload {} is driven by the canary {owner}", plan.name);
                let state = CanaryState::refused(canary.clone(), plan, reason);
                known.conflicts.insert(key, state);
                continue;
            }
            targets.insert(target, canary.name.clone());
            present.insert(key.clone());
            match known.drivers.get(&key) {
                // One that is being deleted ends first.
                Some(handle) if handle.specs.borrow().is_none() => {}
                Some(handle) => {
                    let spec = Some((canary.clone(), plan));
                    handle.specs.send_if_modified(|current| {
                        let is_new = *current != spec;
                        *current = spec;
                        is_new
                    });
                }
                None => {
                    let handle = start(world, drivers, canary, plan);
                    known.drivers.insert(key, handle);
                }
            }
        }
        let gone = known
            .drivers
            .iter()
            .filter(|(key, _)| !present.contains(*key));
        for (_, handle) in gone {
            handle
                .specs
                .send_if_modified(|current| current.take().is_some());
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(
    world: &Arc<World>,
    drivers: &mut JoinSet<()>,
    canary: &Arc<Canary>,
    plan: Plan,
) -> Handle {
    let (specs, followed) = watch::channel(Some((canary.clone(), plan.clone())));
    let (commands, received) = mpsc::channel(MAX_COMMANDS);
    let (driver, status) = Driver::new(world.clone(), canary.clone(), plan);
    drivers.spawn(driver.run(followed, received));
    Handle {
        specs,
        status,
        commands,
    }
}
