//! Everything the controller knows, and the only place where it is decided.

use crate::{
    name::{ServiceName, host_port},
    resource::{Body, Key, Kind, Rejection, Resource},
    source::workloads::{Protocol, Workload, Workloads},
};
use mesh_discover::{Endpoint, ProfileSpec};
use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

mod registered;

pub use self::registered::{Candidate, MAX_REGISTERED, Refusal, Ticket};

/// Resources, workloads, and what they mean together.
///
/// Plain data: whoever watches something calls [`apply`](Self::apply), [`delete`](Self::delete)
/// and [`reset`](Self::reset); whoever wants to know subscribes. There is no client, clock or
/// task in here.
#[derive(Debug)]
pub struct Index {
    domain: Arc<str>,
    resources: BTreeMap<Key, Resource>,
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

/// A service of a workload.
#[derive(Clone, Debug, PartialEq)]
struct Service {
    port: u16,
    endpoints: Arc<[Endpoint]>,
    opaque: bool,
}

/// A question that sidecars ask: what is this authority, to a client in this namespace?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Query {
    authority: Arc<str>,
    namespace: Arc<str>,
}

#[derive(Debug)]
struct Watchers {
    apex: Option<watch::Sender<Arc<Apex>>>,
    endpoints: Option<watch::Sender<Arc<Endpoints>>>,
}

/// An authority and the profile that applies to it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Apex {
    /// The service it names, if the mesh has it.
    pub service: Option<ServiceName>,
    /// Its full name, without a port.
    pub fqdn: Arc<str>,
    /// The port asked for.
    pub port: u16,
    /// Routes, budget and leaves.
    pub profile: Arc<ProfileSpec>,
    /// The resource that declares them.
    pub resource: Option<Key>,
    /// Whether it does not speak HTTP.
    pub opaque: bool,
}

/// The endpoints of an authority.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Endpoints {
    /// Whether there is such a service.
    pub exists: bool,
    /// Where it is, sorted by address.
    pub list: Arc<[Endpoint]>,
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
    pub fn apply(&mut self, resource: Resource) -> bool {
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
    pub fn reset(&mut self, resources: impl IntoIterator<Item = Resource>) {
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
        self.services = workloads.workloads.iter().filter_map(service).collect();
        self.addresses = workloads.workloads.iter().flat_map(addresses).collect();
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
    pub fn resource(&self, key: &Key) -> Option<&Resource> {
        self.resources.get(key)
    }

    /// All resources of a kind, by namespace and name.
    pub fn resources(&self, kind: Kind) -> impl Iterator<Item = &Resource> {
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

    /// What `authority` is to a client in `namespace`.
    ///
    /// Names and ports that no workload serves are not of the mesh: no service, no routes.
    pub fn apex(&self, authority: &str, namespace: &str) -> Apex {
        let Some((name, service, port)) = self.find(authority, namespace) else {
            return Apex {
                port: host_port(authority).1,
                ..Apex::default()
            };
        };
        let fqdn = name.fqdn(&self.domain);
        let declared = self.profile(&fqdn, &name, namespace);
        let (profile, resource) = match declared {
            Some((key, spec)) => (spec.clone(), Some(key.clone())),
            None => (Arc::default(), None),
        };
        // A TrafficSplit, once it is a kind, replaces the profile's overrides here.
        Apex {
            service: Some(name),
            fqdn: fqdn.into(),
            port,
            profile,
            resource,
            opaque: service.opaque,
        }
    }

    /// Where `authority` is, to a client in `namespace`. Profiles and splits have no say here:
    /// leaves are asked for by their own names, the apex among them.
    pub fn endpoints(&self, authority: &str, namespace: &str) -> Endpoints {
        match self.find(authority, namespace) {
            Some((_, service, _)) => Endpoints {
                exists: true,
                list: service.endpoints.clone(),
            },
            None => Endpoints::default(),
        }
    }

    /// Follows [`apex`](Self::apex).
    pub fn subscribe_apex(
        &mut self,
        authority: &str,
        namespace: &str,
    ) -> watch::Receiver<Arc<Apex>> {
        let now = Arc::new(self.apex(authority, namespace));
        let watchers = self.watchers(authority, namespace);
        let sender = watchers.apex.get_or_insert_with(|| watch::Sender::new(now));
        sender.subscribe()
    }

    /// Follows [`endpoints`](Self::endpoints).
    pub fn subscribe_endpoints(
        &mut self,
        authority: &str,
        namespace: &str,
    ) -> watch::Receiver<Arc<Endpoints>> {
        let now = Arc::new(self.endpoints(authority, namespace));
        let watchers = self.watchers(authority, namespace);
        let sender = watchers
            .endpoints
            .get_or_insert_with(|| watch::Sender::new(now));
        sender.subscribe()
    }

    fn watchers(&mut self, authority: &str, namespace: &str) -> &mut Watchers {
        // Nobody tells when a sidecar stops asking; new questions clear up after old ones.
        self.watchers.retain(|_, watchers| watchers.prune());
        let query = Query {
            authority: authority.into(),
            namespace: namespace.into(),
        };
        self.watchers.entry(query).or_insert(Watchers {
            apex: None,
            endpoints: None,
        })
    }

    fn find(&self, authority: &str, namespace: &str) -> Option<(ServiceName, &Service, u16)> {
        let (host, port) = host_port(authority);
        let namespace = match namespace {
            "" => self.default_namespace(),
            namespace => namespace,
        };
        let name = match address(host) {
            Some(address) => self.addresses.get(&address)?.clone(),
            None => ServiceName::parse(host, namespace, &self.domain)?,
        };
        let service = self.services.get(&name)?;
        (service.port == port).then_some((name, service, port))
    }

    /// The profile of a service: that of the client's namespace, whole, else that of its own.
    fn profile(
        &self,
        fqdn: &str,
        name: &ServiceName,
        client: &str,
    ) -> Option<(&Key, &Arc<ProfileSpec>)> {
        [client, &name.namespace].into_iter().find_map(|namespace| {
            let key = Key::new(Kind::ServiceProfile, namespace, fqdn);
            let resource = self.resources.get(&key)?;
            let Body::ServiceProfile(spec) = &resource.body;
            Some((&resource.key, spec))
        })
    }

    /// The one place that tells anybody anything, and only what changed.
    fn publish(&mut self) {
        let mut watchers = std::mem::take(&mut self.watchers);
        watchers.retain(|query, watchers| {
            if !watchers.prune() {
                return false;
            }
            if let Some(sender) = &watchers.apex {
                send_if_news(sender, self.apex(&query.authority, &query.namespace));
            }
            if let Some(sender) = &watchers.endpoints {
                send_if_news(sender, self.endpoints(&query.authority, &query.namespace));
            }
            true
        });
        self.watchers = watchers;
        self.changes.send_modify(|number| *number += 1);
    }
}

impl Watchers {
    /// Drops what nobody listens to; says whether anybody still does.
    fn prune(&mut self) -> bool {
        self.apex.take_if(|sender| sender.is_closed());
        self.endpoints.take_if(|sender| sender.is_closed());
        self.apex.is_some() || self.endpoints.is_some()
    }
}

fn send_if_news<T: PartialEq>(sender: &watch::Sender<Arc<T>>, value: T) {
    sender.send_if_modified(|current| {
        let news = **current != value;
        if news {
            *current = Arc::new(value);
        }
        news
    });
}

/// The address that `host` is, if it is one.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// The addresses of a workload's service.
fn addresses(workload: &Workload) -> impl Iterator<Item = (IpAddr, ServiceName)> {
    let name = workload.service().map(|service| ServiceName {
        service: service.into(),
        namespace: workload.namespace.as_str().into(),
    });
    let addresses = workload.addresses.iter();
    addresses.filter_map(move |address| Some((*address, name.clone()?)))
}

fn service(workload: &Workload) -> Option<(ServiceName, Service)> {
    let (name, port) = (workload.service()?, workload.service_port?);
    let mut endpoints: Vec<Endpoint> = workload
        .ready()
        .filter_map(|replica| {
            let labels = [
                ("namespace", workload.namespace.as_str()),
                ("service", name),
                ("deployment", &workload.name),
                ("pod", &replica.pod),
            ];
            let labels: BTreeMap<String, String> = labels
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect();
            Some(
                Endpoint::new(replica.inbound?)
                    .with_labels(labels)
                    .with_h2(replica.protocol == Some(Protocol::H2)),
            )
        })
        .collect();
    endpoints.sort_by_key(|endpoint| endpoint.addr);
    let opaque = |replica: &_| matches!(replica, Some(Protocol::Opaque));
    let service = Service {
        port,
        endpoints: endpoints.into(),
        opaque: workload
            .replicas
            .iter()
            .any(|replica| opaque(&replica.protocol)),
    };
    let name = ServiceName {
        service: name.into(),
        namespace: workload.namespace.as_str().into(),
    };
    Some((name, service))
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
