//! Services, as the workloads that run make them.

use crate::{
    name::ServiceName,
    source::workloads::{Protocol, Workload},
};
use mesh_discover::Endpoint;
use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// A service of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Service {
    pub(super) port: u16,
    pub(super) endpoints: Arc<[Endpoint]>,
    pub(super) opaque: bool,
}

impl Service {
    /// The service of a workload, if it has one.
    pub(super) fn of(workload: &Workload) -> Option<(ServiceName, Self)> {
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
        let service = Self {
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
}

/// The addresses of a workload's service.
pub(super) fn addresses(workload: &Workload) -> impl Iterator<Item = (IpAddr, ServiceName)> {
    let name = workload.service().map(|service| ServiceName {
        service: service.into(),
        namespace: workload.namespace.as_str().into(),
    });
    let addresses = workload.addresses.iter();
    addresses.filter_map(move |address| Some((*address, name.clone()?)))
}
