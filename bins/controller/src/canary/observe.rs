//! The world as the state machine sees it: from the index to [`Observed`].

use mesh_canary::{Observed, Plan, Replicas, Revision, Routing};
use mesh_control::{
    index::Snapshot,
    model::{Resource, TrafficSplit, Workload, WorkloadName},
};

/// Suffix of the name of a primary.
pub(super) const PRIMARY: &str = "-primary";
/// Suffix of the service of a workload's own pods.
pub(super) const CANARY: &str = "-canary";

/// Returns what a Canary's machine needs to know; `None` if its target does not run.
pub(super) fn observe(snapshot: &Snapshot, plan: &Plan, apex: &str) -> Option<Observed> {
    let target = workload(snapshot, plan, &plan.name)?;
    let template = target.template.as_deref()?;
    let primary = workload(snapshot, plan, &format!("{}{PRIMARY}", plan.name));
    let primary_template = primary.and_then(|primary| primary.template.as_deref());
    Some(Observed {
        target: Revision::from(template),
        primary_revision: primary_template.map(Revision::from),
        primary: primary.map_or_else(Replicas::default, |it| replicas(snapshot, it)),
        canary: replicas(snapshot, target),
        routing: split(snapshot, plan, apex).map(|split| routing(split, plan)),
    })
}

fn workload<'a>(snapshot: &'a Snapshot, plan: &Plan, name: &str) -> Option<&'a Workload> {
    let name = WorkloadName::deployment(name);
    let mut workloads = snapshot.workloads.iter();
    let found = workloads.find(|it| it.name == name && *it.namespace == *plan.namespace)?;
    Some(found)
}

/// Counts the pods of a workload's current template.
fn replicas(snapshot: &Snapshot, workload: &Workload) -> Replicas {
    let pods = snapshot.pods.iter().filter(|pod| {
        pod.namespace == workload.namespace
            && pod.workload.as_ref() == Some(&workload.name)
            && pod.template == workload.template
            && pod.conditions.ready
    });
    let available = u32::try_from(pods.count()).unwrap_or(u32::MAX);
    Replicas {
        desired: workload.desired.unwrap_or(available),
        available,
        failed: false,
    }
}

/// Returns the split of the apex, if there is one.
pub(super) fn split<'a>(
    snapshot: &'a Snapshot,
    plan: &Plan,
    apex: &str,
) -> Option<&'a TrafficSplit> {
    snapshot
        .resources
        .iter()
        .find_map(|resource| match resource {
            Resource::TrafficSplit(split)
                if *split.namespace == *plan.namespace && *split.name == *apex =>
            {
                Some(&**split)
            }
            _ => None,
        })
}

/// Reads the canary's weight out of a split, as a part of [`Plan::total`].
fn routing(split: &TrafficSplit, plan: &Plan) -> Routing {
    let canary = format!("{}{CANARY}", split.service);
    let all: u64 = split.leaves.iter().map(|leaf| leaf.weight.milli()).sum();
    let own = split.leaves.iter().filter(|leaf| *leaf.service == *canary);
    let own: u64 = own.map(|leaf| leaf.weight.milli()).sum();
    let weight = match all {
        0 => 0,
        all => u128::from(own) * u128::from(plan.total) / u128::from(all),
    };
    Routing::split(u32::try_from(weight).unwrap_or(plan.total))
}
