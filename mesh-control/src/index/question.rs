//! Questions that sidecars ask, what they depend on, and the inputs of their answers.

use super::{
    answer::{Apex, Endpoints, Split},
    contents::Contents,
    endpoints::Group,
    profiles::DeclaredProfile,
};
use crate::model::{Kind, Protocol, Reference, ResourceKind, ServiceName, host_port};
use std::{net::IpAddr, sync::Arc};

/// An authority, asked about by a client in a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) about: About,
    pub(super) authority: Arc<str>,
    /// The client's namespace; empty if it does not state one.
    pub(super) namespace: Arc<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum About {
    /// The service and its rules.
    Apex,
    /// The endpoints.
    Endpoints,
}

/// Something that answers depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// The service of this name: its ports, or that there is none.
    Service(ServiceName),
    /// The pods of the service of this name.
    Members(ServiceName),
    /// The services that have this address.
    Address(IpAddr),
    /// A resource, or that there is none.
    Resource(Reference),
    /// The TrafficSplits of the service of this name.
    Split(ServiceName),
    /// The namespace of clients that do not state theirs.
    DefaultNamespace,
}

/// All that an answer is computed from.
#[derive(Debug)]
pub(super) enum Inputs {
    Apex {
        port: u16,
        found: Option<Found>,
    },
    Endpoints {
        group: Option<Arc<Group>>,
        port: u16,
    },
}

#[derive(Debug)]
pub(super) struct Found {
    name: ServiceName,
    fqdn: String,
    is_opaque: bool,
    profile: Option<Arc<DeclaredProfile>>,
    split: Option<Split>,
}

impl Contents {
    /// The inputs of the answer as of now, and all that it depends on.
    pub(super) fn resolve(&mut self, question: &Question) -> (Vec<Subject>, Inputs) {
        let (host, port) = host_port(&question.authority);
        let mut subjects = Vec::with_capacity(4);
        let name = match address(host) {
            Some(address) => {
                subjects.push(Subject::Address(address));
                self.membership.at(address, port).cloned()
            }
            None => {
                let mut namespace = &*question.namespace;
                if namespace.is_empty() {
                    subjects.push(Subject::DefaultNamespace);
                    namespace = self.default_namespace();
                }
                ServiceName::parse(host, namespace, &self.domain)
            }
        };
        let inputs = match (question.about, name) {
            (About::Apex, None) => Inputs::Apex { port, found: None },
            (About::Apex, Some(name)) => {
                let found = self.find(name, port, &question.namespace, &mut subjects);
                Inputs::Apex { port, found }
            }
            (About::Endpoints, None) => Inputs::Endpoints { group: None, port },
            (About::Endpoints, Some(name)) => {
                let group = self.membership.group(&name);
                subjects.push(Subject::Service(name.clone()));
                subjects.push(Subject::Members(name));
                Inputs::Endpoints { group, port }
            }
        };
        (subjects, inputs)
    }

    fn find(
        &self,
        name: ServiceName,
        port: u16,
        client: &Arc<str>,
        subjects: &mut Vec<Subject>,
    ) -> Option<Found> {
        let fqdn = name.fqdn(&self.domain);
        // The profile of the client's namespace, whole, else that of the service's own.
        let own = (*client != name.namespace).then_some(&name.namespace);
        let places = [client].into_iter().chain(own);
        let mut profile = None;
        for namespace in places {
            let kind = Kind::Resource(ResourceKind::ServiceProfile);
            let reference = Reference::new(kind, namespace.clone(), fqdn.as_str());
            profile = profile.or_else(|| self.profiles.get(&reference).cloned());
            subjects.push(Subject::Resource(reference));
        }
        subjects.push(Subject::Service(name.clone()));
        let service = self.membership.service(&name)?;
        let port = service.port(port)?;
        subjects.push(Subject::Split(name.clone()));
        let split = self.split(&name, port.number, subjects);
        Some(Found {
            is_opaque: port.protocol == Some(Protocol::Opaque),
            name,
            fqdn,
            profile,
            split,
        })
    }
}

impl Inputs {
    /// The answer about a service and its rules.
    pub(super) fn apex(self) -> Apex {
        let Self::Apex { port, found } = self else {
            return Apex::default();
        };
        let Some(found) = found else {
            return Apex {
                port,
                ..Apex::default()
            };
        };
        let profile = found.profile.as_deref();
        Apex {
            service: Some(found.name),
            fqdn: found.fqdn.into(),
            port,
            profile: profile.map(|it| it.typed().clone()).unwrap_or_default(),
            resource: profile.map(DeclaredProfile::reference),
            split: found.split,
            opaque: found.is_opaque,
        }
    }

    /// The answer about endpoints.
    pub(super) fn endpoints(self) -> Endpoints {
        let Self::Endpoints {
            group: Some(group),
            port,
        } = self
        else {
            return Endpoints::default();
        };
        let list = group.endpoints(port);
        Endpoints {
            exists: list.is_some(),
            list: list.unwrap_or_default(),
        }
    }
}

/// Reads `host` as an address, in brackets or without.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}
