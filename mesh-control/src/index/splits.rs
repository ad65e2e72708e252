//! TrafficSplits by apex, which of them are in force, and their conditions.

use super::{answer::Split, contents::Contents, question::Subject};
use crate::model::{
    Condition, ConditionKind, Object, Reference, Resource, ServiceName, Status, TrafficSplit,
};
use mesh_profile::WeightedDst;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

/// The TrafficSplits that count. Of several splits of one apex the oldest is in force, and the
/// first by name of those that are equally old.
#[derive(Debug, Default)]
pub(super) struct Splits {
    all: HashMap<Reference, Arc<TrafficSplit>>,
    by_apex: HashMap<ServiceName, BTreeMap<Rank, Reference>>,
    /// The splits that name a service, as apex or leaf.
    by_service: HashMap<ServiceName, BTreeSet<Reference>>,
    /// Those whose conditions may have changed.
    changed: BTreeSet<Reference>,
}

/// The time of creation, then the name.
type Rank = (Option<String>, Arc<str>);

impl Splits {
    /// Replaces the split that counts under `reference`. Returns the apexes of the old and the new
    /// one.
    pub(super) fn set(
        &mut self,
        reference: &Reference,
        new: Option<&Object>,
    ) -> BTreeSet<ServiceName> {
        let mut apexes = BTreeSet::new();
        self.changed.insert(reference.clone());
        if let Some(old) = self.all.remove(reference) {
            let apex = old.apex();
            if let Some(splits) = self.by_apex.get_mut(&apex) {
                splits.remove(&rank(&old));
                self.changed.extend(splits.values().cloned());
                if splits.is_empty() {
                    self.by_apex.remove(&apex);
                }
            }
            for service in services(&old) {
                if let Some(splits) = self.by_service.get_mut(&service) {
                    splits.remove(reference);
                    if splits.is_empty() {
                        self.by_service.remove(&service);
                    }
                }
            }
            apexes.insert(apex);
        }
        let Some(Object::Resource(Resource::TrafficSplit(split))) = new else {
            return apexes;
        };
        let splits = self.by_apex.entry(split.apex()).or_default();
        splits.insert(rank(split), reference.clone());
        self.changed.extend(splits.values().cloned());
        for service in services(split) {
            let splits = self.by_service.entry(service).or_default();
            splits.insert(reference.clone());
        }
        self.all.insert(reference.clone(), split.clone());
        apexes.insert(split.apex());
        apexes
    }

    /// Notes that a service has come, gone or changed.
    pub(super) fn service_changed(&mut self, name: &ServiceName) {
        let splits = self.by_service.get(name).into_iter().flatten();
        self.changed.extend(splits.cloned());
    }

    /// The splits whose conditions may have changed since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<Reference> {
        std::mem::take(&mut self.changed)
    }

    fn in_force(&self, apex: &ServiceName) -> Option<(&Reference, &Arc<TrafficSplit>)> {
        let (_, reference) = self.by_apex.get(apex)?.first_key_value()?;
        Some((reference, self.all.get(reference)?))
    }
}

fn rank(split: &TrafficSplit) -> Rank {
    (split.metadata.created.clone(), split.name.clone())
}

fn services(split: &TrafficSplit) -> BTreeSet<ServiceName> {
    let leaves = split.leaves.iter().map(|leaf| &leaf.service);
    let names = leaves.chain([&split.service]);
    names.map(|name| split.service_name(name)).collect()
}

impl Contents {
    /// The split in force on a port of `apex`, and all that it depends on.
    ///
    /// A leaf that is no service, or has no such port, gets nothing. If no other leaf has a weight
    /// above zero, nothing is split.
    pub(super) fn split(
        &self,
        apex: &ServiceName,
        port: u16,
        subjects: &mut Vec<Subject>,
    ) -> Option<Split> {
        let (reference, split) = self.splits.in_force(apex)?;
        let mut leaves = Vec::with_capacity(split.leaves.len());
        for leaf in &*split.leaves {
            let name = split.service_name(&leaf.service);
            let service = self.membership.service(&name);
            if service.is_some_and(|service| service.port(port).is_some()) {
                leaves.push(WeightedDst {
                    authority: format!("{}:{port}", name.fqdn(&self.domain)),
                    weight: leaf.weight,
                });
            }
            if name != *apex {
                subjects.push(Subject::Service(name));
            }
        }
        let gives = leaves.iter().any(|leaf| leaf.weight.milli() > 0);
        gives.then(|| Split {
            resource: reference.clone(),
            leaves,
        })
    }

    /// The conditions of a resource; none if there is no such resource, or its kind has none.
    pub(super) fn status(&self, reference: &Reference) -> Status {
        let Some(split) = self.splits.all.get(reference) else {
            return Status::default();
        };
        Status {
            conditions: vec![self.accepted(reference, split), self.resolved(split)],
        }
    }

    fn accepted(&self, reference: &Reference, split: &TrafficSplit) -> Condition {
        let service = &split.service;
        let condition = |reason, message| Condition {
            kind: ConditionKind::Accepted,
            is_met: reason == "Accepted",
            reason,
            message,
        };
        let apex = split.apex();
        if self.membership.service(&apex).is_none() {
            let message = format!(
                "there is no service {service} in the namespace {}",
                apex.namespace
            );
            return condition("TargetNotFound", message);
        }
        match self.splits.in_force(&apex) {
            Some((first, _)) if first != reference => {
                let message = format!(
                    "the requests of {service} are split by the older TrafficSplit {}; delete one \
                     of the two",
                    first.name
                );
                condition("Conflicted", message)
            }
            _ => condition("Accepted", format!("the requests of {service} are split")),
        }
    }

    fn resolved(&self, split: &TrafficSplit) -> Condition {
        let apex = self.membership.service(&split.apex());
        let ports: Vec<u16> = apex.map_or_else(Vec::new, |apex| {
            apex.ports.iter().map(|port| port.number).collect()
        });
        let mut problems = Vec::new();
        for leaf in &*split.leaves {
            let name = split.service_name(&leaf.service);
            let Some(service) = self.membership.service(&name) else {
                problems.push(format!("there is no service {}", leaf.service));
                continue;
            };
            let missing = ports.iter().filter(|port| service.port(**port).is_none());
            let missing: Vec<_> = missing.map(ToString::to_string).collect();
            if !missing.is_empty() {
                let missing = missing.join(", ");
                problems.push(format!(
                    "the service {} has no port {missing}",
                    leaf.service
                ));
            }
        }
        let (reason, message) = match &problems[..] {
            [] => ("ResolvedRefs", "all backends are services".to_owned()),
            problems => {
                let problems = problems.join("; ");
                let message = format!("{problems}: the other backends get its share");
                ("BackendNotFound", message)
            }
        };
        Condition {
            kind: ConditionKind::ResolvedRefs,
            is_met: problems.is_empty(),
            reason,
            message,
        }
    }
}
