//! From a service and its pods to endpoints.

use crate::model::{Pod, Port, Protocol, Service};
use mesh_discover::Endpoint;
use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

/// A service and its pods at one moment.
#[derive(Debug)]
pub(super) struct Group {
    service: Arc<Service>,
    pods: Vec<Arc<Pod>>,
    /// The endpoints of each port. The first question computes them for all.
    endpoints: OnceLock<Vec<Arc<[Endpoint]>>>,
}

impl Group {
    pub(super) fn new(service: Arc<Service>, pods: Vec<Arc<Pod>>) -> Self {
        Self {
            service,
            pods,
            endpoints: OnceLock::new(),
        }
    }

    /// The endpoints behind the port that clients call as `number`, by address.
    pub(super) fn endpoints(&self, number: u16) -> Option<Arc<[Endpoint]>> {
        let ports = &self.service.ports;
        let place = ports.iter().position(|port| port.number == number)?;
        let all = self
            .endpoints
            .get_or_init(|| ports.iter().map(|port| self.behind(port)).collect());
        all.get(place).cloned()
    }

    fn behind(&self, port: &Port) -> Arc<[Endpoint]> {
        let pods = self.pods.iter();
        let ready = pods.filter(|pod| pod.conditions.ready && !pod.conditions.terminating);
        let mut endpoints: Vec<_> = ready.filter_map(|pod| self.endpoint(pod, port)).collect();
        endpoints.sort_by_key(|endpoint| endpoint.addr);
        endpoints.into()
    }

    fn endpoint(&self, pod: &Pod, port: &Port) -> Option<Endpoint> {
        let (addr, protocol) = pod.target(&port.target)?;
        let h2 = protocol.or(port.protocol) == Some(Protocol::H2);
        let endpoint = Endpoint::new(addr)
            .with_labels(self.labels(pod))
            .with_h2(h2);
        Some(match &pod.identity {
            Some(identity) => endpoint.with_identity(identity.clone()),
            None => endpoint,
        })
    }

    fn labels(&self, pod: &Pod) -> BTreeMap<String, String> {
        let workload = pod.workload.as_ref();
        let workload = workload.map(|workload| (workload.kind.as_str(), &workload.name));
        let revision = pod.revision.iter().map(|revision| ("revision", revision));
        [
            ("namespace", &pod.namespace),
            ("service", &self.service.name.service),
            ("pod", &pod.name),
        ]
        .into_iter()
        .chain(workload)
        .chain(revision)
        .map(|(label, value)| (label.to_owned(), value.to_string()))
        .collect()
    }
}
