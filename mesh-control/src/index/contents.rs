//! All that the index knows, behind its lock, and what each change touches.

use super::{
    dependents::OpenQuestions,
    membership::Membership,
    objects::{Objects, SourceId},
    profiles::{DeclaredProfile, Profiles},
    question::Subject,
    registered::Registered,
    snapshot::Snapshot,
    splits::Splits,
};
use crate::{
    model::{Kind, Object, Reference, Rejection, ResourceKind, ServiceName},
    source::Event,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
};

/// The namespace of clients that do not state theirs, if no source sets it.
const DEFAULT_NAMESPACE: &str = "default";

#[derive(Debug)]
pub(super) struct Contents {
    pub(super) domain: Arc<str>,
    pub(super) objects: Objects,
    pub(super) membership: Membership,
    pub(super) profiles: Profiles,
    pub(super) splits: Splits,
    pub(super) questions: OpenQuestions,
    pub(super) registered: Registered,
    /// By the document at fault.
    pub(super) rejections: BTreeMap<String, Rejection>,
    /// Sources that have not sent everything yet.
    pub(super) loading: BTreeSet<SourceId>,
    pub(super) sources: u32,
    /// Grows with each change, from 1.
    pub(super) revision: u64,
    /// Made when it is asked for, and kept until the next change.
    pub(super) snapshot: Option<Arc<Snapshot>>,
}

/// The effect of a change.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) is_changed: bool,
    pub(super) subjects: HashSet<Subject>,
    /// To be compiled after the lock is released.
    pub(super) profiles: Vec<Arc<DeclaredProfile>>,
}

impl Contents {
    pub(super) fn new(domain: Arc<str>) -> Self {
        Self {
            domain,
            objects: Objects::default(),
            membership: Membership::default(),
            profiles: Profiles::default(),
            splits: Splits::default(),
            questions: OpenQuestions::default(),
            registered: Registered::default(),
            rejections: BTreeMap::new(),
            loading: BTreeSet::new(),
            sources: 0,
            revision: 1,
            snapshot: None,
        }
    }

    pub(super) fn default_namespace(&self) -> &str {
        match self.objects.get(&Reference::mesh()) {
            Some(Object::Mesh(mesh)) if !mesh.namespace.is_empty() => &mesh.namespace,
            _ => DEFAULT_NAMESPACE,
        }
    }

    /// Takes an event of `source`.
    pub(super) fn take(&mut self, source: SourceId, event: Event, touched: &mut Touched) {
        match event {
            Event::Apply(object) => {
                let reference = object.reference();
                self.set(source, &reference, Some(object), touched);
            }
            Event::Delete(reference) => self.set(source, &reference, None, touched),
            Event::Reset(kind, objects) => {
                let mut gone: BTreeSet<_> =
                    self.objects.of_source(source, kind).into_iter().collect();
                // What is new comes first, so that nothing that moves is gone in between.
                for object in objects {
                    let reference = object.reference();
                    if reference.kind != kind {
                        continue;
                    }
                    gone.remove(&reference);
                    self.set(source, &reference, Some(object), touched);
                }
                for reference in gone {
                    self.set(source, &reference, None, touched);
                }
            }
        }
    }

    pub(super) fn set(
        &mut self,
        source: SourceId,
        reference: &Reference,
        object: Option<Object>,
        touched: &mut Touched,
    ) {
        if let Some(replaced) = self.objects.set(source, reference, object) {
            touched.is_changed = true;
            self.touch(
                reference,
                replaced.old.as_ref(),
                replaced.new.as_ref(),
                touched,
            );
        }
        let may_be_registered = matches!(reference.kind, Kind::Workload(_) | Kind::Service);
        if may_be_registered && source != SourceId::REGISTERED {
            self.show_registered(&reference.namespace, &reference.name, touched);
        }
    }

    fn touch(
        &mut self,
        reference: &Reference,
        old: Option<&Object>,
        new: Option<&Object>,
        touched: &mut Touched,
    ) {
        let subjects = &mut touched.subjects;
        match reference.kind {
            Kind::Mesh => drop(subjects.insert(Subject::DefaultNamespace)),
            // Neither is part of an answer.
            Kind::Workload(_) | Kind::Resource(ResourceKind::Canary) => {}
            Kind::Resource(ResourceKind::ServiceProfile) => {
                touched.profiles.extend(self.profiles.set(reference, new));
                subjects.insert(Subject::Resource(reference.clone()));
            }
            Kind::Resource(ResourceKind::TrafficSplit) => {
                let apexes = self.splits.set(reference, new);
                subjects.extend(apexes.into_iter().map(Subject::Split));
            }
            Kind::Pod => {
                let pod = |object: Option<&Object>| match object {
                    Some(Object::Pod(pod)) => Some(pod.clone()),
                    _ => None,
                };
                let (old, new) = (pod(old), pod(new));
                let services = self.membership.set_pod(old.as_ref(), new.as_ref());
                subjects.extend(services.into_iter().map(Subject::Members));
            }
            Kind::Service => {
                let service = match new {
                    Some(Object::Service(service)) => Some(service),
                    _ => None,
                };
                let name = ServiceName {
                    service: reference.name.clone(),
                    namespace: reference.namespace.clone(),
                };
                let addresses = self.membership.set_service(&name, service);
                self.splits.service_changed(&name);
                subjects.extend(addresses.into_iter().map(Subject::Address));
                subjects.insert(Subject::Service(name));
            }
        }
    }
}
