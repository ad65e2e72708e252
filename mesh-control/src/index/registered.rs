//! Programs that register themselves: pods of the mesh without a sidecar.

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
    fmt,
    net::SocketAddr,
    sync::Arc,
};

/// The most programs that may be registered: each may send its metrics once a second.
pub const MAX_REGISTERED: usize = 256;

/// The name of the port on which a registered program takes requests.
const PORT: &str = "inbound";

/// A program that wants to be registered. Its names and addresses have been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// Its namespace; by default, the one of clients that do not state theirs.
    pub namespace: Option<Arc<str>>,
    /// Its workload, a deployment.
    pub workload: Arc<str>,
    /// The name of its pod; by default, the workload's with a number.
    pub pod: Option<Arc<str>>,
    /// Tells its process from others.
    pub instance: u64,
    /// The service that it answers for, named like the workload.
    pub service: Option<RegisteredService>,
    /// Its readiness.
    pub conditions: Conditions,
    /// Its process id.
    pub pid: Option<u32>,
}

/// The service of a registered program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisteredService {
    /// The port that clients call.
    pub port: u16,
    /// The address on which the program takes requests.
    pub addr: SocketAddr,
    /// The protocol that it speaks, if it is known.
    pub protocol: Option<Protocol>,
}

/// The right of one stream to speak for a registered program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The workload.
    pub workload: Arc<str>,
    /// The pod.
    pub pod: Arc<str>,
    stream: u64,
}

/// The reason why a program is not registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A source declares a workload or a service of that name.
    Declared(Arc<str>),
    /// Another process has the name of the pod.
    Taken(Arc<str>),
    /// The workload's other pods serve this port, or none.
    OtherPort(Option<u16>),
    /// [`MAX_REGISTERED`] programs are registered.
    Full,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Declared(name) => write!(
                f,
                "{name} is a workload or a service that the mesh runs itself"
            ),
            Self::Taken(pod) => write!(f, "another process is registered as {pod}"),
            Self::OtherPort(Some(port)) => {
                write!(f, "the workload's other replicas serve port {port}")
            }
            Self::OtherPort(None) => f.write_str("the workload's other replicas serve no port"),
            Self::Full => write!(f, "{MAX_REGISTERED} replicas are registered already"),
        }
    }
}

impl std::error::Error for Refusal {}

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Mesh, source::Sink};

    fn registration(pod: &str, instance: u64) -> Registration {
        Registration {
            namespace: None,
            workload: "front".into(),
            pod: Some(pod.into()).filter(|pod: &Arc<str>| !pod.is_empty()),
            instance,
            service: Some(RegisteredService {
                port: 80,
                addr: ([127, 0, 0, 1], 4000 + instance as u16).into(),
                protocol: None,
            }),
            conditions: Conditions::READY,
            pid: None,
        }
    }

    /// A mesh that runs `web` in the namespace `shop`.
    fn mesh() -> (Index, Sink) {
        let index = Index::new("cluster.local");
        let sink = index.sink();
        sink.apply(Mesh {
            namespace: "shop".into(),
        });
        declare(&sink, &["web"]);
        (index, sink)
    }

    fn declare(sink: &Sink, names: &[&str]) {
        let workload = |name: &&str| Workload::new("shop", WorkloadName::deployment(*name)).into();
        let kind = Kind::Workload(WorkloadKind::Deployment);
        sink.reset(kind, names.iter().map(workload));
    }

    fn pods(index: &Index) -> Vec<String> {
        let pods = &index.snapshot().pods;
        pods.iter().map(|pod| pod.name.to_string()).collect()
    }

    fn ports(index: &Index) -> Vec<u16> {
        let endpoints = index.endpoints("front:80", "shop").list;
        endpoints.iter().map(|one| one.addr.port()).collect()
    }

    #[test]
    fn a_registered_program_is_a_pod_and_a_service_like_any_other() {
        let (index, _) = mesh();
        let first = index.register(registration("", 1)).unwrap();
        assert_eq!((&*first.namespace, &*first.pod), ("shop", "front-0"));
        let second = index.register(registration("", 2)).unwrap();
        assert_eq!(pods(&index), ["front-0", "front-1"]);
        assert_eq!(ports(&index), [4001, 4002]);

        index.set_conditions(&second, Conditions::default());
        assert_eq!(ports(&index), [4001]);
        index.unregister(&first);
        assert_eq!(pods(&index), ["front-1"]);
        index.unregister(&second);
        assert_eq!(index.snapshot().workloads.len(), 1);
        assert!(!index.endpoints("front:80", "shop").exists);
    }

    #[test]
    fn a_program_that_comes_back_is_known_and_its_old_stream_takes_nothing_away() {
        let (index, _) = mesh();
        let old = index.register(registration("front-0", 1)).unwrap();
        let new = index.register(registration("front-0", 1)).unwrap();
        assert!(!index.lose(&old));
        index.unregister(&old);
        assert_eq!(pods(&index), ["front-0"]);
        assert!(index.lose(&new));
        assert!(!index.lose(&new), "once");
        assert_eq!(pods(&index), ["front-0"], "until somebody has waited");
        index.unregister(&new);
        assert!(pods(&index).is_empty());
    }

    #[test]
    fn a_name_belongs_to_one_process_for_as_long_as_it_lives() {
        let (index, _) = mesh();
        let first = index.register(registration("front-0", 1)).unwrap();
        let refused = index.register(registration("front-0", 2)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "another process is registered as front-0"
        );
        index.lose(&first);
        index.register(registration("front-0", 2)).unwrap();
        assert_eq!(ports(&index), [4002]);
    }

    #[test]
    fn a_pod_has_one_workload() {
        let (index, sink) = mesh();
        index.register(registration("front-0", 1)).unwrap();
        let other = Registration {
            workload: "other".into(),
            ..registration("front-0", 2)
        };
        assert_eq!(index.register(other), Err(Refusal::Taken("front-0".into())));
        sink.apply(Pod::new("shop", "web-0"));
        let web = registration("web-0", 3);
        assert_eq!(index.register(web), Err(Refusal::Taken("web-0".into())));
        sink.apply(Pod::new("shop", "front-1"));
        let free = index.register(registration("", 4)).unwrap();
        assert_eq!(&*free.pod, "front-2");
    }

    #[test]
    fn a_workload_of_the_mesh_cannot_be_registered() {
        let (index, sink) = mesh();
        let mut web = registration("", 1);
        web.workload = "web".into();
        let refused = index.register(web.clone()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "web is a workload or a service that the mesh runs itself"
        );
        web.namespace = Some("other".into());
        assert!(index.register(web).is_ok());

        // One that the mesh runs from now on comes before those registered.
        index.register(registration("", 2)).unwrap();
        declare(&sink, &["front"]);
        assert!(ports(&index).is_empty());
        declare(&sink, &[]);
        assert_eq!(ports(&index), [4002]);
    }

    #[test]
    fn a_service_of_the_mesh_is_not_taken_over() {
        let (index, sink) = mesh();
        let theirs = || {
            let members = vec![WorkloadName::deployment("web")];
            Service::new("shop", "front")
                .with_port(Port::new(80, Target::Name(PORT.into())))
                .with_members(Members::Workloads(members))
        };
        sink.apply(theirs());
        assert_eq!(
            index.register(registration("", 1)),
            Err(Refusal::Declared("front".into()))
        );
        let caller = Registration {
            service: None,
            ..registration("caller", 1)
        };
        let caller = index.register(caller).unwrap();
        index.unregister(&caller);

        // Nor when it comes later.
        sink.reset(Kind::Service, []);
        index.register(registration("", 1)).unwrap();
        assert_eq!(ports(&index), [4001]);
        sink.apply(theirs());
        assert!(index.endpoints("front:80", "shop").exists);
        assert_eq!(ports(&index), [0; 0]);
        assert!(pods(&index).is_empty());
    }

    #[test]
    fn pods_of_a_workload_agree_on_its_port() {
        let (index, _) = mesh();
        index.register(registration("", 1)).unwrap();
        let other = Registration {
            service: None,
            ..registration("", 2)
        };
        let refused = index.register(other).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the workload's other replicas serve port 80"
        );
    }

    #[test]
    fn there_is_a_limit() {
        let (index, _) = mesh();
        let leases: Vec<_> = (0..MAX_REGISTERED as u64)
            .map(|instance| index.register(registration("", instance)).unwrap())
            .collect();
        assert_eq!(index.register(registration("", 999)), Err(Refusal::Full));
        index.unregister(&leases[7]);
        let lease = index.register(registration("", 999)).unwrap();
        assert_eq!(&*lease.pod, "front-7");
    }
}
