//! Which pods answer for which services, and which services have which address.

use super::endpoints::Group;
use crate::model::{Members, Pod, Service, ServiceName, WorkloadName};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

/// Services and their pods, kept up to date one change at a time.
#[derive(Debug, Default)]
pub(super) struct Membership {
    services: HashMap<ServiceName, Entry>,
    /// Pods and services that may belong together.
    candidates: HashMap<Key, Candidates>,
    addresses: HashMap<IpAddr, BTreeSet<ServiceName>>,
}

#[derive(Debug)]
struct Entry {
    service: Arc<Service>,
    pods: BTreeMap<Arc<str>, Arc<Pod>>,
    /// Built from the two above at the first question.
    group: Option<Arc<Group>>,
}

/// Something that a pod has and a service looks for, in one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    namespace: Arc<str>,
    attribute: Attribute,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Attribute {
    Name(Arc<str>),
    Workload(WorkloadName),
    Label(Arc<str>, Arc<str>),
}

#[derive(Debug, Default)]
struct Candidates {
    pods: BTreeMap<Arc<str>, Arc<Pod>>,
    services: BTreeSet<ServiceName>,
}

impl Membership {
    pub(super) fn service(&self, name: &ServiceName) -> Option<&Arc<Service>> {
        self.services.get(name).map(|entry| &entry.service)
    }

    /// The service that is called by an address and a port.
    pub(super) fn at(&self, address: IpAddr, port: u16) -> Option<&ServiceName> {
        let mut names = self.addresses.get(&address)?.iter();
        names.find(|name| self.service(name).is_some_and(|it| it.port(port).is_some()))
    }

    /// The pods of a service.
    pub(super) fn pods(&self, name: &ServiceName) -> impl Iterator<Item = &Arc<Pod>> {
        let entry = self.services.get(name);
        entry.into_iter().flat_map(|entry| entry.pods.values())
    }

    /// A service with its pods, shared by all questions until the next change.
    pub(super) fn group(&mut self, name: &ServiceName) -> Option<Arc<Group>> {
        let entry = self.services.get_mut(name)?;
        let group = entry.group.get_or_insert_with(|| {
            let pods = entry.pods.values().cloned().collect();
            Arc::new(Group::new(entry.service.clone(), pods))
        });
        Some(group.clone())
    }

    /// Replaces a service. Returns the addresses that it lost or won.
    pub(super) fn set_service(
        &mut self,
        name: &ServiceName,
        new: Option<&Arc<Service>>,
    ) -> BTreeSet<IpAddr> {
        let mut addresses = BTreeSet::new();
        if let Some(old) = self.services.remove(name) {
            for key in service_keys(&old.service) {
                self.update_candidates(&key, |found| {
                    found.services.remove(name);
                });
            }
            for address in &old.service.addresses {
                addresses.insert(*address);
                if let Some(names) = self.addresses.get_mut(address) {
                    names.remove(name);
                    if names.is_empty() {
                        self.addresses.remove(address);
                    }
                }
            }
        }
        let Some(service) = new else {
            return addresses;
        };
        let mut pods = BTreeMap::new();
        for key in service_keys(service) {
            self.update_candidates(&key, |found| {
                found.services.insert(name.clone());
                let members = found.pods.iter().filter(|(_, pod)| service.selects(pod));
                pods.extend(members.map(|(name, pod)| (name.clone(), pod.clone())));
            });
        }
        for address in &service.addresses {
            addresses.insert(*address);
            let names = self.addresses.entry(*address).or_default();
            names.insert(name.clone());
        }
        let entry = Entry {
            service: service.clone(),
            pods,
            group: None,
        };
        self.services.insert(name.clone(), entry);
        addresses
    }

    /// Replaces a pod. Returns the services that it answers or answered for.
    pub(super) fn set_pod(
        &mut self,
        old: Option<&Arc<Pod>>,
        new: Option<&Arc<Pod>>,
    ) -> BTreeSet<ServiceName> {
        let mut touched = BTreeSet::new();
        let mut candidates = BTreeSet::new();
        for key in old.into_iter().flat_map(|pod| pod_keys(pod)) {
            self.update_candidates(&key, |found| {
                old.map(|old| found.pods.remove(&old.name));
                candidates.extend(found.services.iter().cloned());
            });
        }
        for name in std::mem::take(&mut candidates) {
            if let (Some(entry), Some(old)) = (self.services.get_mut(&name), old)
                && entry.pods.remove(&old.name).is_some()
            {
                entry.group = None;
                touched.insert(name);
            }
        }
        let Some(pod) = new else {
            return touched;
        };
        for key in pod_keys(pod) {
            self.update_candidates(&key, |found| {
                found.pods.insert(pod.name.clone(), pod.clone());
                candidates.extend(found.services.iter().cloned());
            });
        }
        for name in candidates {
            if let Some(entry) = self.services.get_mut(&name)
                && entry.service.selects(pod)
            {
                entry.pods.insert(pod.name.clone(), pod.clone());
                entry.group = None;
                touched.insert(name);
            }
        }
        touched
    }

    /// Changes the candidates of a key, and removes them when there are none.
    fn update_candidates(&mut self, key: &Key, change: impl FnOnce(&mut Candidates)) {
        let found = self.candidates.entry(key.clone()).or_default();
        change(found);
        if found.pods.is_empty() && found.services.is_empty() {
            self.candidates.remove(key);
        }
    }
}

/// The keys under which all pods are found that `service` may select.
fn service_keys(service: &Service) -> Vec<Key> {
    let attributes: Vec<Attribute> = match &service.members {
        Members::Selector(labels) => {
            // A pod with all of the labels has the first.
            let first = labels.first_key_value().into_iter();
            first
                .map(|(key, value)| Attribute::Label(key.clone(), value.clone()))
                .collect()
        }
        Members::Workloads(workloads) => {
            workloads.iter().cloned().map(Attribute::Workload).collect()
        }
        Members::Pods(pods) => pods.iter().cloned().map(Attribute::Name).collect(),
    };
    let namespace = &service.name.namespace;
    let key = |attribute| Key {
        namespace: namespace.clone(),
        attribute,
    };
    attributes.into_iter().map(key).collect()
}

/// The keys under which a pod is found.
fn pod_keys(pod: &Pod) -> Vec<Key> {
    let labels = pod.labels.iter();
    let labels = labels.map(|(key, value)| Attribute::Label(key.clone(), value.clone()));
    let workload = pod.workload.iter().cloned().map(Attribute::Workload);
    let attributes = labels
        .chain(workload)
        .chain([Attribute::Name(pod.name.clone())]);
    let key = |attribute| Key {
        namespace: pod.namespace.clone(),
        attribute,
    };
    attributes.map(key).collect()
}
