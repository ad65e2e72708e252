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
mod prometheus;
mod status;
mod webhook;
mod world;

pub(crate) use self::{status::CanaryState, world::World};

use driver::{Command, Driver};
use mesh_canary::{Event, Plan};
use mesh_control::model::{Canary, Resource};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
};

/// Namespace and name of a Canary.
type Key = (Arc<str>, Arc<str>);

/// A resource with the plan that was made of it; none once the resource is deleted.
type Spec = Option<(Arc<Canary>, Plan)>;

/// Commands that wait for a driver.
const MAX_COMMANDS: usize = 16;

/// The Canaries under way. Clones share.
#[derive(Clone, Debug, Default)]
pub struct Canaries(Arc<Mutex<BTreeMap<Key, Handle>>>);

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
        loop {
            self.follow(&world, &mut drivers);
            tokio::select! {
                is_there = changes.changed() => if !is_there {
                    return;
                },
                Some(ended) = drivers.join_next() => match ended {
                    Ok(key) => { self.handles().remove(&key); }
                    Err(error) => tracing::error!("a canary's driver failed: {error}"),
                },
            }
        }
    }

    /// Returns all Canaries by namespace and name.
    pub(crate) fn list(&self) -> Vec<CanaryState> {
        let handles = self.handles();
        handles
            .values()
            .map(|it| it.status.borrow().clone())
            .collect()
    }

    /// Gives a driver a command and returns the events that it caused; `None` if there is no such
    /// Canary.
    pub(crate) async fn command(
        &self,
        namespace: &str,
        name: &str,
        event: Event,
    ) -> Option<Vec<String>> {
        let commands = {
            let handles = self.handles();
            handles
                .get(&(namespace.into(), name.into()))?
                .commands
                .clone()
        };
        let (reply, answer) = oneshot::channel();
        commands.send((event, reply)).await.ok()?;
        answer.await.ok()
    }

    /// Starts, updates and ends drivers.
    fn follow(&self, world: &Arc<World>, drivers: &mut JoinSet<Key>) {
        let snapshot = world.index.snapshot();
        let mut handles = self.handles();
        let mut present = BTreeSet::new();
        let mut targets = BTreeSet::new();
        for resource in &snapshot.resources {
            let Resource::Canary(canary) = resource else {
                continue;
            };
            let plan = match plan(canary) {
                Ok(plan) => plan,
                Err(reason) => {
                    tracing::warn!(canary = %canary.name, "not driven: {reason}");
                    continue;
                }
            };
            if !targets.insert((canary.namespace.clone(), plan.name.clone())) {
                // Of two with one target, the first by name drives it.
                continue;
            }
            let key = (canary.namespace.clone(), canary.name.clone());
            present.insert(key.clone());
            match handles.get(&key) {
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
                    let handle = start(world, drivers, key.clone(), canary, plan);
                    handles.insert(key, handle);
                }
            }
        }
        for (_, handle) in handles.iter().filter(|(key, _)| !present.contains(*key)) {
            handle
                .specs
                .send_if_modified(|current| current.take().is_some());
        }
    }

    fn handles(&self) -> MutexGuard<'_, BTreeMap<Key, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(
    world: &Arc<World>,
    drivers: &mut JoinSet<Key>,
    key: Key,
    canary: &Arc<Canary>,
    plan: Plan,
) -> Handle {
    let (specs, followed) = watch::channel(Some((canary.clone(), plan.clone())));
    let (commands, received) = mpsc::channel(MAX_COMMANDS);
    let (driver, status) = Driver::new(world.clone(), canary.clone(), plan);
    drivers.spawn(async move {
        driver.run(followed, received).await;
        key
    });
    Handle {
        specs,
        status,
        commands,
    }
}

/// Returns the plan of a resource that was admitted.
///
/// # Errors
///
/// The reason why it cannot be driven here.
pub(crate) fn plan(canary: &Canary) -> Result<Plan, String> {
    let resource = canary.resource();
    let mut plan = Plan::try_from(&resource).map_err(|error| error.to_string())?;
    if !plan.matches.is_empty() {
        return Err(
            "spec.analysis.match: A/B analysis needs routing by header, which is not supported \
                    yet: use weights or iterations"
                .to_owned(),
        );
    }
    if plan.mirror.is_some() {
        return Err("spec.analysis.mirror: mirroring is not supported yet".to_owned());
    }
    if plan.affinity.is_some() {
        return Err("spec.analysis.sessionAffinity: it is not supported yet".to_owned());
    }
    // Without it, a deleted Canary would leave its target without replicas.
    plan.revert_on_deletion = true;
    Ok(plan)
}
