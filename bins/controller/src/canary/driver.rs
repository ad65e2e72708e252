//! One Canary under way: feeds its state machine, and carries out what that decides.

use super::{
    SETTLE,
    journal::Journal,
    observe::{self, CANARY, PRIMARY},
    status::CanaryState,
    webhook::{self, Payload},
    world::World,
};
use anyhow::Result;
use mesh_canary::{
    Effect, Event, HookKind, Machine, Observed, Phase, Plan, Revision, Routing, Severity,
    Statistics,
};
use mesh_control::{
    model::{
        Canary, Kind, Leaf, Metadata, Reference, Resource, ResourceKind, TrafficSplit, WorkloadName,
    },
    stats::Span,
};
use mesh_manifest::Weight;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, interval_at, sleep},
};

/// Interval of a Canary that is being deleted, and of counts for sequential statistics.
const SECOND: Duration = Duration::from_secs(1);

/// Time for the workloads of a mesh that starts to be known.
const START: Duration = Duration::from_secs(5);

/// A command of a user, and the channel for the events that it caused.
pub(super) type Command = (Event, oneshot::Sender<Vec<String>>);

/// Drives one Canary.
pub(super) struct Driver {
    world: Arc<World>,
    canary: Arc<Canary>,
    machine: Machine,
    journal: Journal,
    status: watch::Sender<CanaryState>,
    /// Webhooks and measurements under way.
    calls: JoinSet<Event>,
    counted: Option<Span>,
    /// Revision of the target at the last tick.
    seen: Option<Revision>,
    is_deleted: bool,
    started: Instant,
    /// True if it was deleted after its target.
    is_gone: bool,
}

impl Driver {
    /// A driver that goes on from where an earlier controller has stopped, and a receiver of its state.
    pub(super) fn new(
        world: Arc<World>,
        canary: Arc<Canary>,
        plan: Plan,
    ) -> (Self, watch::Receiver<CanaryState>) {
        let mut journal = Journal::open(&world.state, &canary.namespace, &canary.name);
        journal.set_canary(&canary);
        let machine = Machine::restore(plan, journal.state());
        let (status, states) = watch::channel(CanaryState {
            canary: canary.clone(),
            plan: machine.plan().clone(),
            state: machine.state().clone(),
            events: journal.events(),
        });
        let driver = Self {
            world,
            canary,
            machine,
            journal,
            status,
            calls: JoinSet::new(),
            counted: None,
            seen: None,
            is_deleted: false,
            started: Instant::now(),
            is_gone: false,
        };
        (driver, states)
    }

    /// Runs until the Canary is deleted and its traffic is back at the target.
    ///
    /// `specs` has the current resource, or none once it is deleted.
    pub(super) async fn run(
        mut self,
        mut specs: watch::Receiver<Option<(Arc<Canary>, Plan)>>,
        mut commands: mpsc::Receiver<Command>,
    ) {
        let mut changes = self.world.index.changes();
        let mut ticks = interval(self.machine.plan().interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seconds = interval(SECOND);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_gone && self.machine.state().phase != Phase::Terminated {
            tokio::select! {
                _ = ticks.tick() => self.step(Event::Tick).await,
                Some(answer) = self.calls.join_next() => match answer {
                    Ok(event) => self.step(event).await,
                    // The tick that waits for it begins anew with the next one.
                    Err(error) => tracing::error!(canary = self.name(), "a call failed: {error}"),
                },
                Some((event, reply)) = commands.recv() => {
                    self.step(event).await;
                    let _ = reply.send(self.journal.take_recent());
                }
                Ok(()) = specs.changed(), if !self.is_deleted => {
                    let current = specs.borrow_and_update().clone();
                    let before = self.machine.plan().interval;
                    self.follow(current).await;
                    let now = match self.is_deleted {
                        true => SECOND,
                        false => self.machine.plan().interval,
                    };
                    if now != before {
                        ticks = interval_at(Instant::now() + now, now);
                    }
                }
                true = changes.changed() => {
                    sleep(SETTLE).await;
                    if self.has_new_revision() {
                        self.step(Event::Tick).await;
                        ticks.reset();
                    }
                }
                _ = seconds.tick(), if self.counts() => {
                    let plan = self.machine.plan();
                    let now = Instant::now().into_std();
                    let counts = self.world.metrics.count(plan, &mut self.counted, now);
                    self.step(Event::Counted(counts)).await;
                }
            }
        }
        self.journal.remove();
    }

    /// Name in events: `podinfo.test`.
    fn name(&self) -> String {
        format!("{}.{}", self.canary.name, self.canary.namespace)
    }

    fn apex(&self) -> &str {
        let service = &self.canary.spec.service;
        service.name.as_deref().unwrap_or(&self.machine.plan().name)
    }

    fn observe(&self) -> Option<Observed> {
        let snapshot = self.world.index.snapshot();
        observe::observe(&snapshot, self.machine.plan(), self.apex())
    }

    /// Returns true if requests are counted for the sequential test.
    fn counts(&self) -> bool {
        self.machine.plan().statistics == Statistics::Sequential
            && self.machine.state().phase.is_analysis()
    }

    /// Returns true if the target has a revision that the last tick did not see, and no rollout is
    /// under way: a new one begins at once.
    fn has_new_revision(&self) -> bool {
        let phase = self.machine.state().phase;
        let is_idle = matches!(phase, Phase::Initialized | Phase::Succeeded | Phase::Failed);
        is_idle
            && self
                .observe()
                .is_some_and(|it| self.seen.as_ref() != Some(&it.target))
    }

    /// Takes an edited or deleted resource into account.
    async fn follow(&mut self, current: Option<(Arc<Canary>, Plan)>) {
        match current {
            Some((canary, plan)) => {
                self.journal.set_canary(&canary);
                self.canary = canary;
                self.machine.set_plan(plan);
                self.publish();
            }
            None => {
                self.is_deleted = true;
                self.step(Event::Delete).await;
            }
        }
    }

    async fn step(&mut self, event: Event) {
        self.journal.take_recent();
        let Some(observed) = self.observe() else {
            if event == Event::Delete {
                // Nothing runs that could get its traffic back.
                self.forget().await;
                return;
            }
            if self.started.elapsed() < START {
                return;
            }
            let plan = self.machine.plan();
            let reason = format!(
                "there is no workload {} in the namespace {}",
                plan.name, plan.namespace
            );
            self.journal.complain(&reason);
            self.publish();
            return;
        };
        if observed.primary_revision.is_none() && has_primary(self.machine.state().phase) {
            // The mesh was started anew: everything runs from its configuration.
            self.journal.note(
                Severity::Warning,
                "The primary is gone: initializing it again",
            );
            self.machine = Machine::new(self.machine.plan().clone());
        }
        self.seen = Some(observed.target.clone());
        if !self.counts() {
            self.counted = None;
        }
        let effects = self.machine.step(event, &observed, self.world.now());
        self.journal.keep(self.machine.state());
        for effect in effects {
            if let Err(error) = self.carry_out(effect).await {
                self.journal.complain(&format!("{error:#}"));
            }
        }
        self.publish();
    }

    async fn forget(&mut self) {
        self.is_gone = true;
        if let Err(error) = self.revert().await {
            tracing::warn!(canary = self.name(), "{error:#}");
        }
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<()> {
        let plan = self.machine.plan().clone();
        let namespace: Arc<str> = plan.namespace.as_str().into();
        let target = WorkloadName::deployment(plan.name.as_str());
        let fleet = &self.world.fleet;
        match effect {
            Effect::Route(routing) => self.route(routing).await?,
            Effect::ScaleCanary(up) => {
                let desired = match up {
                    true => self.observe().map_or(1, |it| it.primary.desired.max(1)),
                    false => 0,
                };
                let scaled = fleet.scale(namespace, target, desired).await;
                scaled.map_err(anyhow::Error::from_boxed)?;
            }
            Effect::SetPrimary(revision) => {
                let template = Some(revision.0.as_str().into());
                let set = fleet.set_primary(namespace, target, template).await;
                set.map_err(anyhow::Error::from_boxed)?;
            }
            Effect::Revert => self.revert().await?,
            Effect::Call { call, kind } => {
                let (world, payload) = (self.world.clone(), self.payload());
                self.calls.spawn(async move {
                    let answers = webhook::call_all(&world.client, &plan.hooks, kind, &payload);
                    let answers = answers.await;
                    Event::Answered { call, answers }
                });
            }
            Effect::Measure { call } => {
                let world = self.world.clone();
                let server = self.canary.spec.metrics_server.clone();
                let began = self.machine.state().last_transition;
                let running = world.now().saturating_sub(began);
                self.calls.spawn(async move {
                    let now = Instant::now().into_std();
                    let measured = world
                        .metrics
                        .measure(&plan, server.as_deref(), running, now);
                    let measured = measured.await;
                    Event::Measured { call, measured }
                });
            }
            Effect::Notify { kind } => self.notify(kind, &self.payload()),
            Effect::Publish { severity, message } => self.tell(severity, &message),
            // A newer machine may decide what this driver does not know.
            other => anyhow::bail!("{other:?} is not supported"),
        }
        Ok(())
    }

    /// Publishes an event: in the journal, the log, and to `event` webhooks.
    fn tell(&mut self, severity: Severity, message: &str) {
        self.journal.note(severity, message);
        let mut payload = self.payload();
        let kind = match severity {
            Severity::Normal => "Normal",
            Severity::Warning => "Warning",
        };
        let timestamp = self.world.now().as_millis().to_string();
        payload.metadata.extend([
            ("eventMessage".to_owned(), message.to_owned()),
            ("eventType".to_owned(), kind.to_owned()),
            ("timestamp".to_owned(), timestamp),
        ]);
        self.notify(HookKind::Event, &payload);
    }

    fn payload(&self) -> Payload {
        let state = self.machine.state();
        let checksum = state.last_applied.as_ref().map_or("", |it| it.0.as_str());
        Payload::new(self.machine.plan(), state.phase, checksum)
    }

    /// Calls webhooks without waiting; a bounded number at a time.
    fn notify(&self, kind: HookKind, payload: &Payload) {
        let hooks = self
            .machine
            .plan()
            .hooks
            .iter()
            .filter(|hook| hook.kind == kind);
        for hook in hooks.cloned() {
            let Ok(permit) = self.world.notifications.clone().try_acquire_owned() else {
                tracing::warn!(
                    canary = self.name(),
                    "too many webhooks at once: {} left out",
                    hook.name
                );
                continue;
            };
            let (client, payload) = (self.world.client.clone(), payload.clone());
            tokio::spawn(async move {
                if let Err(error) = webhook::call(&client, &hook, &payload).await {
                    tracing::warn!("webhook {} failed: {error}", hook.name);
                }
                drop(permit);
            });
        }
    }

    /// Writes the split of the apex.
    async fn route(&self, routing: Routing) -> Result<()> {
        let (plan, apex) = (self.machine.plan(), self.apex());
        let leaf = |suffix: &str, weight: u32| Leaf {
            service: format!("{apex}{suffix}").into(),
            weight: Weight::from_milli(u64::from(weight) * 1_000),
        };
        let canary = routing.canary.min(plan.total);
        let split = TrafficSplit {
            namespace: plan.namespace.as_str().into(),
            name: apex.into(),
            metadata: Metadata {
                api_version: "split.smi-spec.io/v1alpha2".to_owned(),
                labels: [(
                    "app.kubernetes.io/managed-by".to_owned(),
                    "mesh-canary".to_owned(),
                )]
                .into(),
                ..Metadata::default()
            },
            service: apex.into(),
            leaves: [leaf(PRIMARY, plan.total - canary), leaf(CANARY, canary)].into(),
        };
        let split = Resource::from(split);
        let reference = split.reference();
        let put = self.world.resources.put(vec![split]).await;
        put.map_err(anyhow::Error::from_boxed)?;
        // A split that is not in force moves nothing.
        match self.world.index.status(&reference).unmet().next() {
            Some(condition) => anyhow::bail!("{}", condition.message),
            None => Ok(()),
        }
    }

    /// Removes the split, then the primary.
    async fn revert(&self) -> Result<()> {
        let plan = self.machine.plan();
        let kind = Kind::Resource(ResourceKind::TrafficSplit);
        let split = Reference::new(kind, plan.namespace.as_str(), self.apex());
        let deleted = self.world.resources.delete(split).await;
        deleted.map_err(anyhow::Error::from_boxed)?;
        let target = WorkloadName::deployment(plan.name.as_str());
        let removed = self
            .world
            .fleet
            .set_primary(plan.namespace.as_str().into(), target, None);
        removed.await.map_err(anyhow::Error::from_boxed)
    }

    fn publish(&self) {
        self.status.send_replace(CanaryState {
            canary: self.canary.clone(),
            plan: self.machine.plan().clone(),
            state: self.machine.state().clone(),
            events: self.journal.events(),
        });
    }
}

/// Returns true if the primary of a Canary in this phase runs.
fn has_primary(phase: Phase) -> bool {
    let is_without = matches!(
        phase,
        Phase::Initializing | Phase::Terminating | Phase::Terminated
    );
    !is_without
}
