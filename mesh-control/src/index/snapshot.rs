//! Everything there is at one moment, for statistics, tap and checks.

use super::contents::Contents;
use crate::model::{Object, Pod, Resource, Service, Workload};
use std::sync::Arc;

/// Everything there is at one moment, sorted by namespace and name.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The domain that full names of services end in.
    pub domain: Arc<str>,
    /// The namespace of clients that do not state theirs.
    pub namespace: Arc<str>,
    /// The workloads.
    pub workloads: Vec<Arc<Workload>>,
    /// The pods.
    pub pods: Vec<Arc<Pod>>,
    /// The services, each with its pods.
    pub services: Vec<(Arc<Service>, Vec<Arc<Pod>>)>,
    /// The resources.
    pub resources: Vec<Resource>,
}

impl Contents {
    pub(super) fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(known) = &self.snapshot {
            return known.clone();
        }
        let mut new = Snapshot {
            domain: self.domain.clone(),
            namespace: self.default_namespace().into(),
            ..Snapshot::default()
        };
        for object in self.objects.all() {
            match object {
                Object::Mesh(_) => {}
                Object::Workload(workload) => new.workloads.push(workload.clone()),
                Object::Pod(pod) => new.pods.push(pod.clone()),
                Object::Service(service) => {
                    let pods = self.membership.pods(&service.name).cloned();
                    new.services.push((service.clone(), pods.collect()));
                }
                Object::Resource(resource) => new.resources.push(resource.clone()),
            }
        }
        let new = Arc::new(new);
        self.snapshot = Some(new.clone());
        new
    }
}
