//! Everything the controller knows, and the only place where it is decided.

use self::{
    answer::{Query, Watchers},
    service::Service,
};
use crate::{
    name::ServiceName,
    resource::{Key, Manifest, Rejection},
    source::workloads::Workloads,
};
use mesh_api::ManifestKind;
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

mod answer;
mod registered;
mod service;

pub use self::{
    answer::{Apex, Endpoints},
    registered::{Candidate, MAX_REGISTERED, Refusal, Ticket},
};

/// Resources, workloads, and what they mean together.
///
/// Plain data: whoever watches something calls [`apply`](Self::apply), [`delete`](Self::delete)
/// and [`reset`](Self::reset); whoever wants to know subscribes. There is no client, clock or
/// task in here.
#[derive(Debug)]
pub struct Index {
    domain: Arc<str>,
    resources: BTreeMap<Key, Manifest>,
    rejected: BTreeMap<String, Rejection>,
    /// What a source says there is.
    declared: Workloads,
    registered: registered::Registered,
    /// Both together.
    workloads: Arc<Workloads>,
    services: BTreeMap<ServiceName, Service>,
    /// Which service has an address.
    addresses: HashMap<IpAddr, ServiceName>,
    watchers: HashMap<Query, Watchers>,
    changes: watch::Sender<u64>,
}

impl Index {
    /// An empty index of a cluster whose names end in `domain`.
    pub fn new(domain: &str) -> Self {
        Self {
            domain: domain.into(),
            resources: BTreeMap::new(),
            rejected: BTreeMap::new(),
            declared: Workloads::default(),
            registered: Default::default(),
            workloads: Arc::default(),
            services: BTreeMap::new(),
            addresses: HashMap::new(),
            watchers: HashMap::new(),
            changes: watch::Sender::new(0),
        }
    }

    /// Takes a new or changed resource. Says whether it changed anything.
    pub fn apply(&mut self, resource: Manifest) -> bool {
        if self.resources.get(&resource.key) == Some(&resource) {
            return false;
        }
        self.resources.insert(resource.key.clone(), resource);
        self.publish();
        true
    }

    /// Forgets a resource. Says whether there was one.
    pub fn delete(&mut self, key: &Key) -> bool {
        let existed = self.resources.remove(key).is_some();
        if existed {
            self.publish();
        }
        existed
    }

    /// Replaces all resources: what a source found when it looked at everything anew.
    pub fn reset(&mut self, resources: impl IntoIterator<Item = Manifest>) {
        self.resources = resources
            .into_iter()
            .map(|resource| (resource.key.clone(), resource))
            .collect();
        self.publish();
    }

    /// Notes that `rejection.source` could not be read, instead of whatever was noted of it.
    pub fn reject(&mut self, rejection: Rejection) {
        self.rejected.insert(rejection.source.clone(), rejection);
    }

    /// Notes that `source` is good now, or gone.
    pub fn absolve(&mut self, source: &str) {
        self.rejected.remove(source);
    }

    /// Replaces the workloads, except those that registered themselves.
    pub fn set_workloads(&mut self, workloads: Workloads) {
        self.declared = workloads;
        self.merge();
    }

    fn merge(&mut self) {
        let mut workloads = self.declared.clone();
        self.registered.add_to(&mut workloads);
        if *self.workloads == workloads {
            return;
        }
        self.services = workloads.workloads.iter().filter_map(Service::of).collect();
        self.addresses = workloads
            .workloads
            .iter()
            .flat_map(service::addresses)
            .collect();
        self.workloads = Arc::new(workloads);
        self.publish();
    }

    /// The domain that full names end in.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The namespace of clients that do not say theirs.
    pub fn default_namespace(&self) -> &str {
        match &*self.workloads.namespace {
            "" => "default",
            namespace => namespace,
        }
    }

    /// What runs.
    pub fn workloads(&self) -> &Arc<Workloads> {
        &self.workloads
    }

    /// Whether some workload is this service.
    pub fn has_service(&self, name: &ServiceName) -> bool {
        self.services.contains_key(name)
    }

    /// A resource.
    pub fn resource(&self, key: &Key) -> Option<&Manifest> {
        self.resources.get(key)
    }

    /// All resources of a kind, by namespace and name.
    pub fn resources(&self, kind: ManifestKind) -> impl Iterator<Item = &Manifest> {
        self.resources
            .values()
            .filter(move |resource| resource.key.kind == kind)
    }

    /// What was refused and has not been put right.
    pub fn rejected(&self) -> impl Iterator<Item = &Rejection> {
        self.rejected.values()
    }

    /// A number that grows when a resource or a workload changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// The index, shared by what feeds it and what asks it.
///
/// The lock is held for the time of a plain function call, never across an await.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Index>>);

impl Shared {
    /// Shares `index`.
    pub fn new(index: Index) -> Self {
        Self(Arc::new(Mutex::new(index)))
    }

    /// The index, for as long as the guard lives: let that be short.
    pub fn lock(&self) -> MutexGuard<'_, Index> {
        // A panic of another holder left plain data behind, changed or not.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
