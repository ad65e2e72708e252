//! Every reachable state of the machine, with everything that may happen in it.
//!
//! A node is the machine's state and the world that its effects have made. From each, every event
//! arrives with every readiness of both sets, in time and too late; and after each step the
//! controller may be killed before any of its effects, or between two of them.
//!
//! With `MESH_CANARY_STATES=all` (`cargo xtask test "canary states"`) a rollout has three revisions and
//! all webhooks; else two, and the webhooks that wait.

mod support;

use mesh_canary::{
    Effect, Event, Failure, HookKind, Machine, Measured, Observed, Phase, Plan, Replicas, Routing,
    Stage, State, Strategy, Tick, Value,
};
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

/// The world, as far as effects change it.
#[derive(Clone, Debug, PartialEq)]
struct World {
    target: u8,
    primary: Option<u8>,
    routing: Option<Routing>,
    canary_up: bool,
    gone: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct Node {
    state: State,
    world: World,
}

/// Replicas that can serve, of two.
#[derive(Clone, Copy, Debug)]
struct Ready {
    primary: u32,
    canary: u32,
}

const ALL: Ready = Ready {
    primary: 2,
    canary: 2,
};

/// Returns true if every state is asked for, rather than those of the smaller plans.
fn all_states() -> bool {
    std::env::var("MESH_CANARY_STATES").is_ok_and(|states| states == "all")
}

fn revisions() -> u8 {
    if all_states() { 3 } else { 2 }
}

/// A plan with these lines of `analysis`.
fn plan(analysis: &str) -> Plan {
    match all_states() {
        true => support::plan(analysis),
        false => {
            let hook = |kind| format!("    - {{ type: {kind}, url: 'http://hooks/' }}\n");
            let hooks = ["confirm-rollout", "confirm-promotion"].map(hook).concat();
            support::plan_with(analysis, &hooks)
        }
    }
}

impl World {
    fn observe(&self, ready: Ready) -> Observed {
        let replicas = |up: bool, available: u32| Replicas {
            desired: if up { 2 } else { 0 },
            available: if up { available } else { 0 },
            failed: false,
        };
        Observed {
            target: revision(self.target),
            primary_revision: self.primary.map(revision),
            primary: replicas(self.primary.is_some(), ready.primary),
            canary: replicas(self.canary_up, ready.canary),
            routing: self.routing,
        }
    }

    fn apply(&mut self, effect: &Effect) {
        match effect {
            Effect::Route(routing) => self.routing = Some(*routing),
            Effect::ScaleCanary(up) => self.canary_up = *up,
            Effect::SetPrimary(revision) => self.primary = Some(revision.0.parse().unwrap()),
            Effect::Revert => self.gone = true,
            _ => {}
        }
    }
}

fn revision(number: u8) -> mesh_canary::Revision {
    mesh_canary::Revision(number.to_string())
}

/// Forgets what makes no difference: when, in which words, and how calls are numbered.
fn normalize(state: &mut State) {
    state.last_transition = Duration::ZERO;
    state.history.clear();
    for since in [&mut state.primary_since, &mut state.canary_since] {
        *since = since.map(|_| Duration::ZERO);
    }
    state.rollback = state.rollback.take().map(|_| "reason".to_owned());
    state.next_call = 0;
    if let Some((call, _)) = &mut state.tick.pending {
        *call = 0;
    }
}

fn measured(value: Option<f64>, requests: Option<u64>) -> Measured {
    Measured {
        requests,
        values: vec![Ok(Value {
            value,
            samples: requests,
        })],
    }
}

/// Everything that may happen to a machine in this state; pauses and deletion if `extras` are asked
/// for.
fn events(state: &State, extras: bool) -> Vec<Event> {
    let mut events = vec![Event::Tick, Event::Promote, Event::Abort];
    if extras {
        events.push(match state.paused {
            true => Event::Resume,
            false => Event::Pause,
        });
        if !matches!(state.phase, Phase::Terminating | Phase::Terminated) {
            events.push(Event::Delete);
        }
    }
    match state.tick.pending {
        Some((call, Stage::Hooks(_))) => {
            for answer in [Ok(()), Err("no".to_owned())] {
                let answers = vec![answer];
                events.push(Event::Answered { call, answers });
            }
        }
        Some((call, Stage::Metrics)) => {
            let mut gone = measured(None, None);
            gone.values = vec![Err(Failure("Prometheus is gone".to_owned()))];
            for measured in [
                measured(Some(100.0), Some(100)),
                measured(Some(50.0), Some(100)),
                measured(None, Some(0)),
                gone,
            ] {
                events.push(Event::Measured { call, measured });
            }
        }
        None => {}
    }
    events
}

/// The steps that weights may take, by the plan.
struct Laws<'a> {
    plan: &'a Plan,
}

impl Laws<'_> {
    /// Checks one step: the node before, what was observed, the effects, the state after.
    fn check(&self, node: &Node, observed: &Observed, effects: &[Effect], after: &State) {
        let plan = self.plan;
        let (before, world) = (&node.state, &node.world);
        let context = || format!("{before:#?}\n{observed:#?}\n{effects:#?}\n{after:#?}");
        let mut routing = world.routing;
        for effect in effects {
            match effect {
                Effect::Route(to) => {
                    let from = routing.unwrap_or(Routing::PRIMARY);
                    let gains = to.canary > from.canary
                        || (to.matched && !from.matched)
                        || (to.mirror > 0 && from.mirror == 0);
                    assert!(!gains || observed.canary.is_usable(), "{}", context());
                    let unmatched = from.matched && !to.matched && to.canary < plan.total;
                    let gains = routing.is_none() || to.canary < from.canary || unmatched;
                    assert!(!gains || observed.primary.is_usable(), "{}", context());
                    routing = Some(*to);
                }
                Effect::ScaleCanary(false) => {
                    let seen = routing.is_some_and(Routing::is_seen_by_canary);
                    assert!(!seen, "callers lose their service: {}", context());
                    let last = !observed.primary.is_usable() && observed.canary.is_usable();
                    assert!(!last, "the last set that serves ends: {}", context());
                    if before.stranded {
                        let ready = observed.primary.is_ready(plan.primary_ready);
                        assert!(ready, "the healthy version ends: {}", context());
                    }
                }
                Effect::SetPrimary(revision) => {
                    let is_analysed =
                        after.last_applied.as_ref() == Some(revision) && after.phase.is_promotion();
                    let is_back = after.last_promoted.as_ref() == Some(revision);
                    let is_first = after.phase == Phase::Initializing && world.routing.is_none();
                    assert!(is_analysed || is_back || is_first, "{}", context());
                }
                Effect::Revert => assert!(observed.canary.is_usable(), "{}", context()),
                _ => {}
            }
        }
        self.check_weight(before, observed, after, &context);
        if after.phase == Phase::Succeeded && before.phase == Phase::Finalising {
            assert_eq!(observed.primary_revision, after.last_promoted);
            assert!(observed.primary.is_ready(plan.primary_ready));
        }
        if after.stranded {
            let down = effects.contains(&Effect::ScaleCanary(false));
            assert!(!down, "a failed promotion ends the canary: {}", context());
        }
    }

    /// Weights move by steps only.
    fn check_weight(
        &self,
        before: &State,
        observed: &Observed,
        after: &State,
        context: &dyn Fn() -> String,
    ) {
        let (from, to) = (before.routing.canary, after.routing.canary);
        let ready = observed.canary.is_ready(self.plan.canary_ready);
        if to > from || (after.routing.matched && !before.routing.matched) {
            assert!(ready, "{}", context());
            assert_eq!(after.last_applied, Some(observed.target.clone()));
        }
        if to == from {
            return;
        }
        let total = self.plan.total;
        let is_step = if before.phase.is_analysis() && to > from {
            match &self.plan.strategy {
                Strategy::Weights(steps) => steps.iter().find(|step| **step > from) == Some(&to),
                _ => from == 0 && to == total,
            }
        } else {
            let back = before.phase == Phase::Promoting
                && to == from.saturating_sub(self.plan.step_promotion);
            // All that the primary cannot take, or all that the canary cannot.
            let swapped = to == total && (before.phase.is_promotion() || before.stranded);
            to == 0 || back || swapped
        };
        assert!(is_step, "from {from} to {to}: {}", context());
    }
}

struct Explorer<'a> {
    plan: &'a Plan,
    extras: bool,
    known: HashSet<String>,
    /// Nodes whose end was checked; the tick under way makes no difference to it.
    settled: HashSet<String>,
    queue: VecDeque<Node>,
    /// Successors of the node that is expanded: most events lead to few of them.
    next: Vec<Node>,
}

impl Explorer<'_> {
    fn add(&mut self, mut node: Node) {
        normalize(&mut node.state);
        if !self.next.contains(&node) {
            self.next.push(node);
        }
    }

    fn enqueue(&mut self, node: Node) {
        if self
            .known
            .insert(format!("{:?}{:?}", node.state, node.world))
        {
            self.queue.push_back(node);
        }
    }

    fn step(&self, node: &Node, event: Event, ready: Ready, late: bool) -> (State, Vec<Effect>) {
        let observed = node.world.observe(ready);
        let now = match late {
            true => self.plan.progress_deadline,
            false => Duration::ZERO,
        };
        // Not a restart: that is a node of its own, which has no tick under way.
        let mut machine = Machine::restore(self.plan.clone(), node.state.clone());
        let effects = machine.step(event, &observed, now);
        let after = machine.state().clone();
        let laws = Laws { plan: self.plan };
        laws.check(node, &observed, &effects, &after);
        (after, effects)
    }

    /// All nodes that may follow `node`.
    fn expand(&mut self, node: &Node) {
        for target in (0..revisions()).filter(|target| *target != node.world.target) {
            let mut next = node.clone();
            next.world.target = target;
            self.add(next);
        }
        for event in events(&node.state, self.extras) {
            for primary in 0..=2 {
                for canary in 0..=2 {
                    for late in [false, true] {
                        let only_ticks = matches!(event, Event::Tick);
                        if (late && !only_ticks) || (canary > 0 && !node.world.canary_up) {
                            continue;
                        }
                        let ready = Ready { primary, canary };
                        let (state, effects) = self.step(node, event.clone(), ready, late);
                        self.follow(node, &state, &effects);
                    }
                }
            }
        }
    }

    fn follow(&mut self, node: &Node, state: &State, effects: &[Effect]) {
        let mut next = Node {
            state: state.clone(),
            world: node.world.clone(),
        };
        let changes = |effect: &&Effect| {
            matches!(
                effect,
                Effect::Route(_) | Effect::ScaleCanary(_) | Effect::SetPrimary(_) | Effect::Revert
            )
        };
        let changes: Vec<_> = effects.iter().filter(changes).collect();
        for effect in changes {
            // Killed before this effect.
            let mut killed = next.clone();
            killed.state.tick = Tick::default();
            self.add(killed);
            next.world.apply(effect);
        }
        let mut killed = next.clone();
        killed.state.tick = Tick::default();
        self.add(killed);
        self.add(next);
    }

    /// Goes on with everything in order until nothing is under way.
    fn settle(&self, node: &Node, until: impl Fn(&State) -> bool) -> Node {
        let mut node = node.clone();
        for _ in 0..100 {
            if until(&node.state) {
                return node;
            }
            let event = match node.state.tick.pending {
                None => Event::Tick,
                Some((call, Stage::Hooks(kind))) => {
                    let answer = match kind {
                        HookKind::Rollback => Err("not asked for".to_owned()),
                        _ => Ok(()),
                    };
                    let answers = vec![answer];
                    Event::Answered { call, answers }
                }
                Some((call, Stage::Metrics)) => Event::Measured {
                    call,
                    measured: measured(Some(100.0), Some(100)),
                },
            };
            let (state, effects) = self.step(&node, event, ALL, false);
            node.state = state;
            effects.iter().for_each(|effect| node.world.apply(effect));
        }
        panic!("it does not settle: {node:?}");
    }

    /// Abort ends what is under way, wherever it is.
    fn check_abort(&self, node: &Node) {
        let phase = node.state.phase;
        let under_way = phase == Phase::Waiting || phase.is_analysis() || phase.is_promotion();
        if !under_way && !node.state.stranded {
            return;
        }
        let (state, effects) = self.step(node, Event::Abort, ALL, false);
        let mut next = Node {
            state,
            world: node.world.clone(),
        };
        effects.iter().for_each(|effect| next.world.apply(effect));
        let end = self.settle(&next, |state| {
            state.phase == Phase::Failed && state.rollback.is_none() && !state.stranded
        });
        assert_eq!(end.state.routing, Routing::PRIMARY);
        assert_eq!(end.world.routing, Some(Routing::PRIMARY), "{node:#?}");
        // While it waits, what an earlier rollout left behind may still be ending.
        assert!(!end.world.canary_up || phase == Phase::Waiting);
        assert_eq!(end.world.primary.map(revision), end.state.last_promoted);
    }

    /// A controller that is started here, with all in order, brings the rollout to its end.
    fn check_restart(&self, node: &Node) {
        if node.state.phase == Phase::Terminated {
            return;
        }
        let mut node = node.clone();
        node.state.paused = false;
        let begun = node.state.phase;
        if begun == Phase::Terminating {
            let end = self.settle(&node, |state| state.phase == Phase::Terminated);
            assert!(end.world.gone);
            return;
        }
        let target = revision(node.world.target);
        let end = self.settle(&node, |state| {
            let idle = matches!(
                state.phase,
                Phase::Initialized | Phase::Succeeded | Phase::Failed
            );
            let known = state.last_applied.as_ref() == Some(&target);
            idle && state.rollback.is_none() && (known || state.stranded) && state != &node.state
                || (idle && known && state.rollback.is_none())
        });
        // Killed before the effects of the last step: first the routing, then the canary.
        let mut end = end;
        for _ in 0..2 {
            let (state, effects) = self.step(&end, Event::Tick, ALL, false);
            end.state = state;
            effects.iter().for_each(|effect| end.world.apply(effect));
        }
        let Node { state, world } = end;
        assert_eq!(world.routing, Some(state.routing), "{node:#?}");
        if state.stranded {
            assert!(world.canary_up, "{node:#?}");
        } else if matches!(
            state.phase,
            Phase::Initialized | Phase::Succeeded | Phase::Failed
        ) {
            assert_eq!(state.routing, Routing::PRIMARY, "{node:#?}");
            assert_eq!(
                world.primary.map(revision),
                state.last_promoted,
                "{node:#?}"
            );
            assert!(!world.canary_up, "{node:#?}");
        }
    }
}

fn explore(plan: &Plan, extras: bool) -> usize {
    let first = Node {
        state: State::default(),
        world: World {
            target: 0,
            primary: None,
            routing: None,
            canary_up: true,
            gone: false,
        },
    };
    let mut explorer = Explorer {
        plan,
        extras,
        known: HashSet::new(),
        settled: HashSet::new(),
        queue: VecDeque::new(),
        next: Vec::new(),
    };
    explorer.enqueue(first);
    while let Some(node) = explorer.queue.pop_front() {
        let mut idle = node.clone();
        idle.state.tick = Tick::default();
        if explorer.settled.insert(format!("{idle:?}")) {
            explorer.check_abort(&idle);
            explorer.check_restart(&idle);
        }
        explorer.expand(&node);
        for next in std::mem::take(&mut explorer.next) {
            explorer.enqueue(next);
        }
    }
    let nodes = explorer.known.len();
    println!("{:?}: {nodes} states", plan.strategy);
    nodes
}

#[test]
fn every_state_of_a_weighted_rollout_keeps_the_laws() {
    let nodes = explore(
        &plan("stepWeights: [10, 50]\nstepWeightPromotion: 30\n"),
        false,
    );
    assert!(nodes > 1_000);
}

#[test]
fn every_state_of_a_mirrored_rollout_keeps_the_laws() {
    let nodes = explore(&plan("stepWeight: 100\nmirror: true\n"), false);
    assert!(nodes > 1_000);
}

#[test]
fn every_state_of_a_blue_green_rollout_keeps_the_laws() {
    let nodes = explore(&plan("iterations: 1\n"), false);
    assert!(nodes > 1_000);
}

#[test]
fn every_state_of_an_ab_rollout_keeps_the_laws() {
    let text = "iterations: 1\nmatch: [{ headers: { x-canary: { exact: insider } } }]\n";
    let nodes = explore(&plan(text), true);
    assert!(nodes > 1_000);
}
