//! What sidecars ask, what they are told, and who is told of a change.

use super::{Index, service::Service};
use crate::{
    name::{ServiceName, host_port},
    resource::{Body, Key},
};
use mesh_api::ManifestKind;
use mesh_discover::{Endpoint, ProfileSpec};
use std::{net::IpAddr, sync::Arc};
use tokio::sync::watch;

/// A question that sidecars ask: what is this authority, to a client in this namespace?
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Query {
    authority: Arc<str>,
    namespace: Arc<str>,
}

/// Who waits for news about it.
#[derive(Debug)]
pub(super) struct Watchers {
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
            let key = Key::new(ManifestKind::ServiceProfile, namespace, fqdn);
            let resource = self.resources.get(&key)?;
            let Body::ServiceProfile(spec) = &resource.body;
            Some((&resource.key, spec))
        })
    }

    /// The one place that tells anybody anything, and only what changed.
    pub(super) fn publish(&mut self) {
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
