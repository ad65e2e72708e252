//! Programs that register themselves: pods of the mesh without a sidecar.

mod registration;

#[cfg(test)]
mod tests;

pub use self::registration::{Lease, Refusal, RegisteredService, Registration};

use super::{
    Index,
    contents::{Contents, Touched},
    objects::SourceId,
};
use crate::model::{
    Conditions, Kind, Members, Object, Pod, PodPort, Port, Protocol, Reference, Service, Target,
    Workload, WorkloadKind, WorkloadName,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// The most programs that may be registered: each may send its metrics once a second.
pub const MAX_REGISTERED: usize = 256;

/// The name of the port on which a registered program takes requests.
const PORT: &str = "inbound";

/// The registrations by namespace and pod.
#[derive(Debug, Default)]
pub(super) struct Registered {
    entries: BTreeMap<(Arc<str>, Arc<str>), Entry>,
    /// Counts streams, so that one that ends late takes nothing from its successor.
    streams: u64,
}

#[derive(Debug)]
struct Entry {
    workload: Arc<str>,
    instance: u64,
    stream: u64,
    /// The stream is open.
    is_live: bool,
    service: Option<RegisteredService>,
    pod: Arc<Pod>,
}

impl Index {
    /// Registers a program. One that is registered and comes back on another stream keeps its
    /// place.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if it would be mistaken for another.
    pub fn register(&self, registration: Registration) -> Result<Lease, Refusal> {
        let mut result = Err(Refusal::Full);
        self.change(|contents, touched| {
            result = contents.register(registration);
            if let Ok(lease) = &result {
                contents.show_registered(&lease.namespace, &lease.workload, touched);
            }
        });
        result
    }

    /// Changes the readiness of a registered program; nothing else of it may change.
    pub fn set_conditions(&self, lease: &Lease, conditions: Conditions) {
        self.change(|contents, touched| {
            if let Some(entry) = contents.registered.entry(lease) {
                Arc::make_mut(&mut entry.pod).conditions = conditions;
                contents.show_registered(&lease.namespace, &lease.workload, touched);
            }
        });
    }

    /// Notes that the stream of a registration broke. Returns true if it was the one that speaks
    /// for the program, and nobody has noted so before.
    pub fn lose(&self, lease: &Lease) -> bool {
        let mut contents = self.contents();
        let entry = contents.registered.entry(lease);
        entry.is_some_and(|entry| std::mem::replace(&mut entry.is_live, false))
    }

    /// Ends a registration, unless another stream speaks for the program now.
    pub fn unregister(&self, lease: &Lease) {
        self.change(|contents, touched| {
            if contents.registered.entry(lease).is_some() {
                let key = (lease.namespace.clone(), lease.pod.clone());
                contents.registered.entries.remove(&key);
                let pod = Reference::new(Kind::Pod, lease.namespace.clone(), lease.pod.clone());
                contents.set(SourceId::REGISTERED, &pod, None, touched);
                contents.show_registered(&lease.namespace, &lease.workload, touched);
            }
        });
    }
}

impl Registered {
    /// The entry that `lease` speaks for, if it still does.
    fn entry(&mut self, lease: &Lease) -> Option<&mut Entry> {
        let key = (lease.namespace.clone(), lease.pod.clone());
        let entry = self.entries.get_mut(&key);
        entry.filter(|entry| entry.stream == lease.stream)
    }

    /// The registrations of a workload.
    fn of(&self, namespace: &str, workload: &str) -> impl Iterator<Item = &Entry> {
        // Bounded by `MAX_REGISTERED`.
        let all = self.entries.iter();
        all.filter(move |((ns, _), entry)| **ns == *namespace && *entry.workload == *workload)
            .map(|(_, entry)| entry)
    }
}

impl Contents {
    fn register(&mut self, registration: Registration) -> Result<Lease, Refusal> {
        let Registration {
            workload,
            instance,
            service,
            ..
        } = registration;
        let namespace = registration.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| self.default_namespace().into());
        if self.is_taken(&namespace, &workload, service.is_some()) {
            return Err(Refusal::Declared(workload));
        }
        let is_declared = |pod: &Arc<str>| {
            let reference = Reference::new(Kind::Pod, namespace.clone(), pod.clone());
            self.objects.is_declared(&reference)
        };
        let entries = &self.registered.entries;
        let pod = match registration.pod {
            Some(pod) => pod,
            None => {
                let is_free = |pod: &Arc<str>| {
                    !is_declared(pod) && !entries.contains_key(&(namespace.clone(), pod.clone()))
                };
                let mut names = (0..=MAX_REGISTERED).map(|n| format!("{workload}-{n}").into());
                names.find(is_free).ok_or(Refusal::Full)?
            }
        };
        let port = |service: Option<RegisteredService>| service.map(|service| service.port);
        for sibling in self.registered.of(&namespace, &workload) {
            if sibling.pod.name != pod && port(sibling.service) != port(service) {
                return Err(Refusal::OtherPort(port(sibling.service)));
            }
        }
        let key = (namespace.clone(), pod.clone());
        match entries.get(&key) {
            Some(known) if known.workload != workload => return Err(Refusal::Taken(pod)),
            Some(known) if known.is_live && known.instance != instance => {
                return Err(Refusal::Taken(pod));
            }
            None if is_declared(&pod) => return Err(Refusal::Taken(pod)),
            None if entries.len() >= MAX_REGISTERED => return Err(Refusal::Full),
            _ => {}
        }
        self.registered.streams += 1;
        let stream = self.registered.streams;
        let entry = Entry {
            workload: workload.clone(),
            instance,
            stream,
            is_live: true,
            service,
            pod: Arc::new(Pod {
                workload: Some(WorkloadName::deployment(workload.clone())),
                address: service.map(|service| service.addr.ip()),
                ports: service.map(port_of).into_iter().collect(),
                conditions: registration.conditions,
                embedded: true,
                pid: registration.pid,
                ..Pod::new(namespace.clone(), pod.clone())
            }),
        };
        self.registered.entries.insert(key, entry);
        Ok(Lease {
            namespace,
            workload,
            pod,
            stream,
        })
    }

    /// Makes objects of the registrations of a workload: none if a source declares it or its
    /// service, for that comes first.
    pub(super) fn show_registered(
        &mut self,
        namespace: &Arc<str>,
        workload: &Arc<str>,
        touched: &mut Touched,
    ) {
        let mut wanted = BTreeMap::new();
        let mut want = |object: Object| drop(wanted.insert(object.reference(), object));
        let mut pods = BTreeSet::new();
        let mut service: Option<(u16, bool)> = None;
        for entry in self.registered.of(namespace, workload) {
            pods.insert(entry.pod.name.clone());
            if self.is_taken(namespace, workload, entry.service.is_some()) {
                continue;
            }
            want(Object::Pod(entry.pod.clone()));
            let name = WorkloadName::deployment(workload.clone());
            want(Workload::new(namespace.clone(), name).into());
            if let Some(it) = entry.service {
                let is_opaque = it.protocol == Some(Protocol::Opaque);
                let known = service.get_or_insert((it.port, false));
                known.1 |= is_opaque;
            }
        }
        if let Some((number, is_opaque)) = service {
            let mut port = Port::new(number, Target::Name(PORT.into()));
            port.protocol = is_opaque.then_some(Protocol::Opaque);
            let members = vec![WorkloadName::deployment(workload.clone())];
            let service = Service::new(namespace.clone(), workload.clone());
            let service = service
                .with_port(port)
                .with_members(Members::Workloads(members));
            want(service.into());
        }
        let own = Kind::Workload(WorkloadKind::Deployment);
        let pods = pods.into_iter().map(|pod| (Kind::Pod, pod));
        let all = [(own, workload.clone()), (Kind::Service, workload.clone())];
        for (kind, name) in all.into_iter().chain(pods) {
            let reference = Reference::new(kind, namespace.clone(), name);
            let object = wanted.remove(&reference);
            self.set(SourceId::REGISTERED, &reference, object, touched);
        }
    }

    /// Returns true if a source declares a workload of this name, or a service if that matters.
    fn is_taken(&self, namespace: &Arc<str>, name: &Arc<str>, serves: bool) -> bool {
        let workloads = WorkloadKind::ALL.into_iter().map(Kind::Workload);
        let service = serves.then_some(Kind::Service);
        workloads.chain(service).any(|kind| {
            let reference = Reference::new(kind, namespace.clone(), name.clone());
            self.objects.is_declared(&reference)
        })
    }
}

fn port_of(service: RegisteredService) -> PodPort {
    PodPort {
        name: PORT.into(),
        number: service.addr.port(),
        protocol: service.protocol,
    }
}
