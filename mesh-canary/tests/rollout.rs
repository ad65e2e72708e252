//! Rollouts as the workshop has them: phases, weights, events and decisions, tick by tick.

mod support;

use mesh_canary::{
    Effect, Event, Machine, Measured, NoTraffic, Observed, Outcome, Phase, Plan, Replicas,
    Revision, Routing, Stage, State, Value, sequential::Counts, spec::Canary,
};
use std::time::Duration;
use support::{plan, plan_with};

const INTERVAL: Duration = Duration::from_secs(30);

/// A platform that does at once what it is told, and callers that see what they are told to.
struct Mesh {
    machine: Machine,
    now: Duration,
    target: &'static str,
    primary: Option<Revision>,
    routing: Option<Routing>,
    canary_up: bool,
    success: Option<f64>,
    requests: u64,
    hooks: Result<(), String>,
    messages: Vec<String>,
}

impl Mesh {
    fn new(plan: Plan) -> Self {
        let mut mesh = Self {
            machine: Machine::new(plan),
            now: Duration::ZERO,
            target: "1.7.0",
            primary: None,
            routing: None,
            canary_up: true,
            success: Some(100.0),
            requests: 100,
            hooks: Ok(()),
            messages: Vec::new(),
        };
        mesh.tick();
        mesh.tick();
        assert_eq!(mesh.state().phase, Phase::Initialized);
        mesh.messages.clear();
        mesh
    }

    fn state(&self) -> &State {
        self.machine.state()
    }

    fn tick(&mut self) {
        self.now += INTERVAL;
        self.send(Event::Tick);
    }

    /// Sends an event, and answers whatever is asked.
    fn send(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let replicas = |up: bool| Replicas {
                desired: up.into(),
                available: up.into(),
                failed: false,
            };
            let observed = Observed {
                target: self.target.into(),
                primary_revision: self.primary.clone(),
                primary: replicas(self.primary.is_some()),
                canary: replicas(self.canary_up),
                routing: self.routing,
            };
            for effect in self.machine.step(event, &observed, self.now) {
                match effect {
                    Effect::Route(routing) => self.routing = Some(routing),
                    Effect::ScaleCanary(up) => self.canary_up = up,
                    Effect::SetPrimary(revision) => self.primary = Some(revision),
                    Effect::Publish { message, .. } => self.messages.push(message),
                    _ => {}
                }
            }
            next = self.answer();
        }
    }

    fn answer(&self) -> Option<Event> {
        let (call, stage) = self.state().tick.pending?;
        Some(match stage {
            Stage::Hooks(_) => Event::Answered {
                call,
                answers: vec![self.hooks.clone()],
            },
            Stage::Metrics => Event::Measured {
                call,
                measured: Measured {
                    requests: Some(self.requests),
                    values: vec![Ok(Value {
                        value: self.success,
                        samples: Some(self.requests),
                    })],
                },
            },
        })
    }

    fn weights(&mut self, ticks: usize) -> Vec<u32> {
        let weight = |mesh: &mut Self| {
            mesh.tick();
            mesh.routing.map_or(0, |routing| routing.canary)
        };
        (0..ticks).map(|_| weight(self)).collect()
    }

    fn said(&self, text: &str) -> bool {
        self.messages.iter().any(|message| message.contains(text))
    }
}

fn workshop() -> Mesh {
    Mesh::new(plan_with("maxWeight: 50\nstepWeight: 5\n", "      []\n"))
}

#[test]
fn a_good_revision_is_promoted_with_the_timing_of_the_workshop() {
    let mut mesh = workshop();
    mesh.target = "1.7.1";
    // Detected; then 5 at T0 to 50 at T0+270 s.
    let weights = mesh.weights(11);
    assert_eq!(weights, [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50]);
    // Copied at T0+300 s, routed back at 330, done at 360.
    mesh.tick();
    assert_eq!(mesh.state().phase, Phase::Promoting);
    assert_eq!(mesh.primary, Some("1.7.1".into()));
    assert_eq!(mesh.weights(1), [0]);
    assert_eq!(mesh.state().phase, Phase::Finalising);
    mesh.tick();
    assert_eq!(mesh.state().phase, Phase::Succeeded);
    assert!(!mesh.canary_up);
    for message in [
        "New revision detected! Scaling up podinfo.test",
        "Starting canary analysis for podinfo.test",
        "Advance podinfo.test canary weight 15",
        "Copying podinfo.test template spec to podinfo-primary.test",
        "Routing all traffic to primary",
        "Promotion completed! Scaling down podinfo.test",
    ] {
        assert!(mesh.said(message), "{message}: {:#?}", mesh.messages);
    }
    mesh.messages.clear();
    mesh.tick();
    assert!(mesh.messages.is_empty(), "{:?}", mesh.messages);
}

#[test]
fn a_bad_revision_halts_and_is_rolled_back_with_the_numbers_on_record() {
    let mut mesh = workshop();
    mesh.target = "1.7.2";
    assert_eq!(mesh.weights(3), [0, 5, 10]);
    mesh.success = Some(69.17);
    assert_eq!(mesh.weights(3), [10, 10, 0]);
    assert_eq!(mesh.state().phase, Phase::Failed);
    assert_eq!(mesh.primary, Some("1.7.0".into()));
    for message in [
        "Halt podinfo.test advancement success rate 69.17% < 99%",
        "Rolling back podinfo.test failed checks threshold reached 2",
        "Canary failed! Scaling down podinfo.test",
    ] {
        assert!(mesh.said(message), "{message}: {:#?}", mesh.messages);
    }
    let failed = |decision: &&mesh_canary::Decision| decision.outcome == Outcome::Fail;
    let failed = mesh.state().history.iter().find(failed).unwrap();
    assert_eq!(failed.checks[0].value, Some(69.17));
    assert_eq!(failed.checks[0].samples, Some(100));
    assert_eq!(failed.checks[0].min, Some(99.0));
    // The same revision is not tried again, and another is.
    assert_eq!(mesh.weights(2), [0, 0]);
    mesh.target = "1.7.3";
    mesh.success = Some(100.0);
    assert_eq!(mesh.weights(2), [0, 5]);
}

#[test]
fn a_failed_revision_may_be_tried_again_after_it_was_set_back() {
    let mut mesh = workshop();
    mesh.target = "1.7.2";
    mesh.tick();
    mesh.send(Event::Abort);
    assert_eq!(mesh.state().phase, Phase::Failed);
    mesh.target = "1.7.0";
    mesh.tick();
    assert_eq!(mesh.state().phase, Phase::Failed);
    mesh.target = "1.7.2";
    mesh.tick();
    assert_eq!(mesh.state().phase, Phase::Progressing);
}

#[test]
fn no_traffic_is_held_failed_or_passed_as_asked() {
    for (policy, phase, weight) in [
        (NoTraffic::Hold, Phase::Progressing, 5),
        (NoTraffic::Fail, Phase::Failed, 0),
        (NoTraffic::Pass, Phase::Progressing, 30),
    ] {
        let policy_text = format!("{policy:?}").to_lowercase();
        let text = format!("maxWeight: 50\nstepWeight: 5\nnoTraffic: {policy_text}\n");
        let mut mesh = Mesh::new(plan_with(&text, "      []\n"));
        mesh.target = "1.7.1";
        mesh.weights(2);
        (mesh.requests, mesh.success) = (0, None);
        assert_eq!(mesh.weights(5)[4], weight, "{policy:?}");
        assert_eq!(mesh.state().phase, phase);
        if policy == NoTraffic::Hold {
            assert!(mesh.state().no_traffic);
            assert_eq!(mesh.state().failed_checks, 0);
            (mesh.requests, mesh.success) = (100, Some(100.0));
            assert_eq!(mesh.weights(1), [10]);
            assert!(!mesh.state().no_traffic);
        }
    }
}

#[test]
fn a_query_without_values_is_a_failed_check_while_there_is_traffic() {
    let mut mesh = workshop();
    mesh.target = "1.7.1";
    mesh.weights(2);
    mesh.success = None;
    mesh.tick();
    assert_eq!(mesh.state().failed_checks, 1);
    assert!(mesh.said("no values found"));
    mesh.success = Some(f64::NAN);
    mesh.tick();
    assert_eq!(mesh.state().failed_checks, 2);
}

#[test]
fn a_gate_is_waited_at_and_a_user_may_open_it() {
    let hooks = "    - { name: gate, type: confirm-promotion, url: 'http://gate/' }\n";
    let mut mesh = Mesh::new(plan_with("maxWeight: 50\nstepWeight: 50\n", hooks));
    mesh.target = "1.7.1";
    mesh.hooks = Err("Forbidden".to_owned());
    assert_eq!(mesh.weights(4), [0, 50, 50, 50]);
    assert_eq!(mesh.state().phase, Phase::WaitingPromotion);
    let waiting = mesh.messages.iter();
    let waiting = waiting.filter(|message| message.contains("waiting for promotion"));
    assert_eq!(waiting.count(), 1);
    mesh.send(Event::Promote);
    assert_eq!(mesh.state().phase, Phase::Promoting);
}

#[test]
fn a_paused_analysis_stays_where_it_is() {
    let mut mesh = workshop();
    mesh.target = "1.7.1";
    mesh.weights(3);
    mesh.send(Event::Pause);
    assert_eq!(mesh.weights(3), [10, 10, 10]);
    mesh.send(Event::Resume);
    assert_eq!(mesh.routing.unwrap().canary, 15);
}

#[test]
fn the_sequential_test_rolls_back_between_two_ticks() {
    let text = "maxWeight: 50\nstepWeight: 5\nstatistics: sequential\n";
    let mut mesh = Mesh::new(plan_with(text, "      []\n"));
    mesh.target = "1.7.2";
    assert_eq!(mesh.weights(2), [0, 5]);
    // It would fail the threshold of 99 %, and so does the primary: no reason to stop.
    let alike = Counts {
        canary_requests: 20,
        canary_failures: 1,
        primary_requests: 380,
        primary_failures: 19,
    };
    for _ in 0..30 {
        mesh.send(Event::Counted(alike));
    }
    mesh.success = Some(95.0);
    assert_eq!(mesh.weights(1), [10]);
    let worse = Counts {
        canary_failures: 4,
        ..alike
    };
    for _ in 0..60 {
        mesh.send(Event::Counted(worse));
    }
    assert_eq!(mesh.state().phase, Phase::Failed);
    assert_eq!(mesh.routing, Some(Routing::PRIMARY));
    assert!(
        mesh.said("is below the primary's 95.00%"),
        "{:?}",
        mesh.messages
    );
    let last = mesh.state().history.last().unwrap();
    assert_eq!(last.outcome, Outcome::RollBack);
}

#[test]
fn a_failed_promotion_keeps_the_canary_until_a_user_decides() {
    let mut mesh = workshop();
    mesh.target = "1.7.1";
    mesh.weights(12);
    assert_eq!(mesh.state().phase, Phase::Promoting);
    let observed = |mesh: &Mesh, primary: u32| Observed {
        target: mesh.target.into(),
        primary_revision: mesh.primary.clone(),
        primary: Replicas {
            desired: 1,
            available: primary,
            failed: false,
        },
        canary: Replicas {
            desired: 1,
            available: 1,
            failed: false,
        },
        routing: mesh.routing,
    };
    // The primary is away, so the canary, which is proven, serves all.
    let away = observed(&mesh, 0);
    let effects = mesh.machine.step(Event::Tick, &away, mesh.now);
    assert!(effects.contains(&Effect::Route(Routing::split(100))));
    mesh.routing = Some(Routing::split(100));
    mesh.now += mesh.machine.plan().progress_deadline;
    let away = observed(&mesh, 0);
    let effects = mesh.machine.step(Event::Tick, &away, mesh.now);
    assert_eq!(mesh.state().phase, Phase::Failed);
    assert!(mesh.state().stranded);
    assert!(!effects.contains(&Effect::ScaleCanary(false)));
    // Given up: the primary gets back what it had, and then the traffic.
    mesh.send(Event::Abort);
    assert_eq!(mesh.primary, Some("1.7.0".into()));
    assert_eq!(mesh.weights(1), [0]);
    assert!(!mesh.state().stranded && !mesh.canary_up);
}

#[test]
fn a_lost_state_adopts_the_primary_that_serves() {
    let mut mesh = workshop();
    mesh.target = "1.7.2";
    mesh.weights(4);
    mesh.machine = Machine::new(mesh.machine.plan().clone());
    mesh.tick();
    assert_eq!(mesh.state().last_promoted, Some("1.7.0".into()));
    assert_eq!(mesh.primary, Some("1.7.0".into()));
    assert_eq!(mesh.weights(2), [0, 5]);
}

#[test]
fn a_snapshot_goes_on_where_it_was() {
    let mut mesh = Mesh::new(plan("maxWeight: 50\nstepWeight: 5\n"));
    mesh.target = "1.7.1";
    mesh.hooks = Err("not yet".to_owned());
    mesh.tick();
    assert_eq!(mesh.state().phase, Phase::Waiting);
    let text = serde_json::to_string(mesh.state()).unwrap();
    let state: State = serde_json::from_str(&text).unwrap();
    assert_eq!(&state, mesh.state());
    mesh.machine = Machine::restore(mesh.machine.plan().clone(), state);
    mesh.send(Event::Promote);
    assert_eq!(mesh.state().phase, Phase::Progressing);
}

#[test]
fn the_history_is_bounded() {
    let mut mesh = workshop();
    mesh.target = "1.7.1";
    mesh.weights(2);
    (mesh.requests, mesh.success) = (0, None);
    mesh.weights(300);
    let history = &mesh.state().history;
    assert_eq!(history.iter().count(), mesh_canary::MAX_HISTORY);
}

#[test]
fn the_resource_of_the_workshop_is_read_in_both_versions() {
    let text = "apiVersion: flagger.app/v1alpha3
kind: Canary
metadata: { name: podinfo, namespace: test }
spec:
  targetRef: { apiVersion: apps/v1, kind: Deployment, name: podinfo }
  autoscalerRef: { apiVersion: autoscaling/v2beta1, kind: HorizontalPodAutoscaler, name: podinfo }
  progressDeadlineSeconds: 60
  service: { port: 9898 }
  canaryAnalysis:
    interval: 30s
    threshold: 5
    maxWeight: 50
    stepWeight: 5
    metrics:
    - { name: request-success-rate, threshold: 99, interval: 1m }
    - { name: request-duration, threshold: 500, interval: 30s }
    webhooks:
    - name: acceptance-test
      type: pre-rollout
      url: http://flagger-loadtester.test/
      timeout: 30s
      metadata: { type: bash, cmd: \"curl -sd 'test' http://podinfo-canary:9898/token\" }
    - name: load-test
      url: http://flagger-loadtester.test/
      metadata: { cmd: 'hey -z 2m -q 10 -c 2 http://podinfo:9898/' }
";
    let old: Canary = serde_yaml::from_str(text).unwrap();
    let new = text
        .replace("v1alpha3", "v1beta1")
        .replace("canaryAnalysis", "analysis");
    let new: Canary = serde_yaml::from_str(&new).unwrap();
    let plan = Plan::try_from(&old).unwrap();
    assert_eq!(plan, Plan::try_from(&new).unwrap());
    assert_eq!(plan.interval, INTERVAL);
    assert_eq!(plan.progress_deadline, Duration::from_secs(60));
    assert_eq!(plan.hooks.len(), 2);
}

#[test]
fn what_cannot_be_obeyed_is_refused_with_its_field() {
    let canary = |analysis: &str| {
        let text = format!(
            "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {{ name: a }}\nspec:\n  \
             targetRef: {{ kind: Deployment, name: a }}\n  analysis: {analysis}\n"
        );
        let canary: Canary = serde_yaml::from_str(&text).unwrap();
        Plan::try_from(&canary).unwrap_err().field().to_owned()
    };
    for (analysis, field) in [
        ("{}", "stepWeight"),
        ("{ stepWeight: 0 }", "stepWeight"),
        ("{ stepWeights: [] }", "stepWeight"),
        ("{ stepWeights: [0, 5] }", "stepWeights"),
        ("{ stepWeights: [10, 5] }", "stepWeights"),
        ("{ stepWeight: 5, maxWeight: 101 }", "maxWeight"),
        ("{ stepWeight: 5, interval: soon }", "interval"),
        ("{ stepWeight: 5, interval: 1ms }", "interval"),
        ("{ match: [{}] }", "iterations"),
        (
            "{ stepWeight: 5, metrics: [{ name: mine }] }",
            "metrics[0].name",
        ),
        (
            "{ stepWeight: 5, metrics: [{ name: request-duration }] }",
            "metrics[0].threshold",
        ),
        (
            "{ stepWeight: 5, webhooks: [{ type: rolout, url: 'http://a' }] }",
            "webhooks[0].type",
        ),
        (
            "{ stepWeight: 5, webhooks: [{ url: '/a' }] }",
            "webhooks[0].url",
        ),
    ] {
        assert_eq!(canary(analysis), format!("spec.analysis.{field}"));
    }
}
