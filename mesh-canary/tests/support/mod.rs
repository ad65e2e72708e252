//! Plans for tests, from the resource that people would write.

use mesh_canary::{Plan, spec::Canary};

/// A plan of these lines of `analysis`, with all webhooks that a rollout waits for.
pub(crate) fn plan(analysis: &str) -> Plan {
    let hooks: String = [
        "confirm-rollout",
        "pre-rollout",
        "rollout",
        "confirm-traffic-increase",
        "confirm-promotion",
        "rollback",
        "post-rollout",
    ]
    .map(|kind| format!("    - {{ name: {kind}, type: {kind}, url: 'http://hooks/' }}\n"))
    .concat();
    plan_with(analysis, &hooks)
}

/// A plan of these lines of `analysis` and of `webhooks`.
pub(crate) fn plan_with(analysis: &str, hooks: &str) -> Plan {
    let analysis: String = analysis
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    let text = format!(
        "apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {{ name: podinfo, namespace: test }}
spec:
  targetRef: {{ kind: Deployment, name: podinfo }}
  service: {{ port: 9898 }}
  revertOnDeletion: true
  analysis:
    threshold: 2
    metrics: [{{ name: request-success-rate, threshold: 99 }}]
{analysis}    webhooks:
{hooks}"
    );
    let canary: Canary = serde_yaml::from_str(&text).expect("a Canary");
    Plan::try_from(&canary).expect("a plan")
}
