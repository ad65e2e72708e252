//! The state machine: events and observations in, effects out.
//!
//! A step evaluates the whole tick from its beginning, with what earlier steps of the same tick have
//! learned. So the code below reads as the list of things that a tick does, in order, and each
//! change of traffic is decided with readiness as it is now, not as it was before a slow webhook.

mod advance;
mod analysis;
mod idle;
mod promotion;
mod safety;

use crate::{
    Answer, Check, Decision, Effect, Event, HookKind, Observed, Outcome, Phase, Plan, Replicas,
    Routing, Severity, Stage, State, Tick,
    sequential::{Counts, Test, Verdict},
};
use std::time::Duration;

/// A Canary under way.
///
/// See the [crate documentation](crate) for an example.
#[derive(Clone, Debug)]
pub struct Machine {
    plan: Plan,
    state: State,
}

impl Machine {
    /// A Canary that was just created.
    pub fn new(plan: Plan) -> Self {
        Self::restore(plan, State::default())
    }

    /// Goes on from a snapshot.
    ///
    /// The tick under way is not part of a snapshot that was serialized: calls that were not answered
    /// yet are made again at the next tick. Where they are lost otherwise, reset `state.tick`.
    pub fn restore(plan: Plan, state: State) -> Self {
        Self { plan, state }
    }

    /// Obeys another plan from the next step on: the resource was edited.
    pub fn set_plan(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The state, to be stored after each step, before the effects are carried out.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Takes one event into account; `now` is the time since the Unix epoch.
    ///
    /// A tick that arrives while the previous one waits for an answer changes nothing, but for
    /// traffic that must leave a set without replicas.
    pub fn step(&mut self, event: Event, observed: &Observed, now: Duration) -> Vec<Effect> {
        let mut step = Step {
            plan: &self.plan,
            state: &mut self.state,
            observed,
            now,
            effects: Vec::new(),
        };
        step.take(event);
        step.effects
    }
}

/// One step under way.
struct Step<'a> {
    plan: &'a Plan,
    state: &'a mut State,
    observed: &'a Observed,
    now: Duration,
    effects: Vec<Effect>,
}

/// Gate of a tick that needs webhooks.
enum Gate {
    /// They are being called: the step ends here.
    Asked,
    /// All of them succeeded, or there is none.
    Open,
    /// One failed, with this text.
    Closed(String),
}

impl Step<'_> {
    fn take(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Answered { call, answers } => match self.state.tick.pending {
                Some((pending, stage @ Stage::Hooks(_))) if pending == call => {
                    self.state.tick.pending = None;
                    self.state.tick.answers.push((stage, answers));
                }
                _ => return,
            },
            Event::Measured { call, measured } => match self.state.tick.pending {
                Some((pending, Stage::Metrics)) if pending == call => {
                    self.state.tick.pending = None;
                    self.state.tick.measured = Some(measured);
                }
                _ => return,
            },
            Event::Counted(counts) => {
                if !self.count(counts) {
                    return;
                }
            }
            Event::Promote => self.ask_promotion(),
            Event::Abort => self.ask_rollback(),
            Event::Pause => self.state.paused = true,
            Event::Resume => self.state.paused = false,
            Event::Delete => self.delete(),
        }
        self.run();
        if self.state.tick.pending.is_none() {
            self.state.tick = Tick::default();
        }
    }

    /// Returns true if the counts decide something.
    fn count(&mut self, counts: Counts) -> bool {
        let sequential = self.plan.statistics == crate::Statistics::Sequential;
        if !sequential || !self.state.phase.is_analysis() || self.state.rollback.is_some() {
            return false;
        }
        let verdict = self.state.test.observe(counts);
        if verdict == Verdict::Worse {
            let total = *self.state.test.counts();
            let rate = |rate: Option<f64>| rate.unwrap_or_default();
            let reason = format!(
                "success rate {:.2}% of {} requests is below the primary's {:.2}% of {}",
                rate(total.canary_success()),
                total.canary_requests,
                rate(total.primary_success()),
                total.primary_requests,
            );
            let check = self.sequential_check();
            self.decide(Outcome::Fail, reason.clone(), vec![check]);
            self.begin_rollback(reason);
        }
        verdict == Verdict::Worse
    }

    fn run(&mut self) {
        if self.state.phase == Phase::Terminated {
            return;
        }
        self.protect();
        self.reconcile();
        if self.state.rollback.is_some() {
            return self.roll_back();
        }
        if self.state.tick.pending.is_some() {
            return;
        }
        if self.state.phase == Phase::Terminating {
            return self.terminate();
        }
        if self.plan.suspend || self.state.paused {
            return;
        }
        match self.state.phase {
            Phase::Initializing => self.initialize(),
            Phase::Initialized | Phase::Waiting | Phase::Succeeded | Phase::Failed => self.start(),
            Phase::Progressing | Phase::WaitingPromotion => self.analyse(),
            Phase::Promoting => self.promote(),
            Phase::Finalising => self.finalise(),
            Phase::Terminating | Phase::Terminated => {}
        }
    }

    fn set_phase(&mut self, phase: Phase) {
        if self.state.phase != phase {
            self.state.phase = phase;
            self.state.last_transition = self.now;
            self.state.primary_since = None;
            self.state.canary_since = None;
        }
    }

    fn route(&mut self, routing: Routing) {
        if self.state.routing != routing {
            self.state.routing = routing;
            self.effects
                .retain(|effect| !matches!(effect, Effect::Route(_)));
            self.effects.push(Effect::Route(routing));
        }
    }

    fn scale_canary(&mut self, up: bool) {
        self.effects
            .retain(|effect| !matches!(effect, Effect::ScaleCanary(_)));
        self.effects.push(Effect::ScaleCanary(up));
    }

    fn publish(&mut self, severity: Severity, message: String) {
        self.effects.push(Effect::Publish { severity, message });
    }

    fn info(&mut self, message: String) {
        self.publish(Severity::Normal, message);
    }

    fn warn(&mut self, message: String) {
        self.publish(Severity::Warning, message);
    }

    fn decide(&mut self, outcome: Outcome, reason: String, checks: Vec<Check>) {
        let decision = Decision {
            at: self.now,
            outcome,
            weight: self.state.routing.canary,
            failed_checks: self.state.failed_checks,
            reason,
            checks,
        };
        self.state.history.push(decision);
    }

    /// Calls webhooks unless this tick has their answers.
    fn gate(&mut self, kind: HookKind) -> Gate {
        let Some(answers) = self.answers(kind) else {
            return Gate::Asked;
        };
        let hooks = self.plan.hooks.iter().filter(|hook| hook.kind == kind);
        for (position, hook) in hooks.enumerate() {
            match answers.get(position) {
                Some(Ok(())) => {}
                Some(Err(text)) => return Gate::Closed(format!("{} failed {text}", hook.name)),
                None => return Gate::Closed(format!("{} gave no answer", hook.name)),
            }
        }
        Gate::Open
    }

    /// The answers of webhooks; none if they are being called now.
    fn answers(&mut self, kind: HookKind) -> Option<Vec<Answer>> {
        let stage = Stage::Hooks(kind);
        if !self.plan.has(kind) {
            return Some(Vec::new());
        }
        let known = self.state.tick.answers.iter();
        if let Some((_, answers)) = known.rev().find(|(known, _)| *known == stage) {
            return Some(answers.clone());
        }
        let call = self.next_call(stage);
        self.effects.push(Effect::Call { call, kind });
        None
    }

    fn next_call(&mut self, stage: Stage) -> u64 {
        let call = self.state.next_call;
        self.state.next_call += 1;
        self.state.tick.pending = Some((call, stage));
        call
    }

    fn notify(&mut self, kind: HookKind) {
        if self.plan.has(kind) {
            self.effects.push(Effect::Notify { kind });
        }
    }

    /// Waits for the primary: true once it is ready.
    fn primary_is_ready(&mut self) -> bool {
        let replicas = self.observed.primary;
        if replicas.is_ready(self.plan.primary_ready) {
            self.state.primary_since = None;
            return true;
        }
        self.state.primary_since.get_or_insert(self.now);
        let message = not_ready(&self.primary(), replicas, self.plan.primary_ready);
        self.warn(message);
        false
    }

    fn canary_is_ready(&mut self) -> bool {
        let replicas = self.observed.canary;
        if replicas.is_ready(self.plan.canary_ready) && replicas.desired > 0 {
            self.state.canary_since = None;
            return true;
        }
        self.state.canary_since.get_or_insert(self.now);
        let message = not_ready(&self.canary(), replicas, self.plan.canary_ready);
        self.warn(message);
        false
    }

    /// Returns true if a set has been waited for too long.
    fn is_overdue(&self, since: Option<Duration>, replicas: Replicas) -> bool {
        let waited = since.map(|since| self.now.saturating_sub(since));
        replicas.failed || waited.is_some_and(|waited| waited >= self.plan.progress_deadline)
    }

    fn canary(&self) -> String {
        format!("{}.{}", self.plan.name, self.plan.namespace)
    }

    fn primary(&self) -> String {
        format!("{}-primary.{}", self.plan.name, self.plan.namespace)
    }

    fn clear_analysis(&mut self) {
        self.state.iterations = 0;
        self.state.failed_checks = 0;
        self.state.mirrored = false;
        self.state.no_traffic = false;
        self.state.promote = false;
        self.state.test = Test::new();
        self.state.tick = Tick::default();
    }
}

fn not_ready(set: &str, replicas: Replicas, threshold: u32) -> String {
    format!(
        "{set} not ready: waiting for rollout to finish: {} of {} (readyThreshold {threshold}%) \
         updated replicas are available",
        replicas.available, replicas.desired,
    )
}
