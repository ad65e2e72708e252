//! The workloads and services of the mesh, in the form that queries read.

use super::{Sidecar, scrape};
use crate::{
    index::Snapshot,
    model::{self, Resource, WorkloadKind, WorkloadName},
};
use mesh_profile::Weight;
use std::{collections::HashMap, sync::Arc};

/// The workloads and services there are now.
#[derive(Clone, Debug, Default)]
pub struct Topology {
    /// The domain that full names of services end in, as in `cluster.local`.
    pub domain: Arc<str>,
    /// The workloads.
    pub workloads: Vec<Workload>,
    /// The services.
    pub services: Vec<Service>,
    /// The TrafficSplits.
    pub splits: Vec<Split>,
}

/// One TrafficSplit.
#[derive(Clone, Debug)]
pub struct Split {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The service that clients call.
    pub service: Arc<str>,
    /// The services that share its requests, and their weights.
    pub leaves: Vec<(Arc<str>, Weight)>,
}

/// One workload.
#[derive(Clone, Debug)]
pub struct Workload {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Its replicas.
    pub pods: Vec<Pod>,
}

/// One replica.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Its name.
    pub name: Arc<str>,
    /// `Running`, `Pending` or `Terminating`.
    pub status: &'static str,
    /// It has a sidecar, or does a sidecar's part itself.
    pub is_meshed: bool,
}

/// One service.
#[derive(Clone, Debug)]
pub struct Service {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// The workloads that answer for it.
    pub workloads: Vec<Arc<str>>,
    /// The names of the routes of its profile.
    pub routes: Vec<Arc<str>>,
}

impl Topology {
    /// The workloads and services of `snapshot`, without the gateway.
    pub fn new(snapshot: &Snapshot) -> Self {
        let mut new = Self {
            domain: snapshot.domain.clone(),
            ..Self::default()
        };
        let mut places = HashMap::new();
        for workload in &snapshot.workloads {
            if workload.name.kind == WorkloadKind::Gateway {
                continue;
            }
            places.insert((&workload.namespace, &workload.name), new.workloads.len());
            new.workloads.push(Workload {
                namespace: workload.namespace.clone(),
                name: workload.name.name.clone(),
                pods: Vec::new(),
            });
        }
        for pod in &snapshot.pods {
            let workload = pod.workload.as_ref().map(|name| (&pod.namespace, name));
            let place = workload.and_then(|workload| places.get(&workload));
            if let Some(place) = place {
                new.workloads[*place].pods.push(Pod::from(&**pod));
            }
        }
        let mut routes = HashMap::new();
        for resource in &snapshot.resources {
            let profile = match resource {
                Resource::Canary(_) => continue,
                Resource::ServiceProfile(profile) => profile,
                Resource::TrafficSplit(split) => {
                    let leaves = split.leaves.iter();
                    new.splits.push(Split {
                        namespace: split.namespace.clone(),
                        name: split.name.clone(),
                        service: split.service.clone(),
                        leaves: leaves.map(|it| (it.service.clone(), it.weight)).collect(),
                    });
                    continue;
                }
            };
            let names = profile.spec.routes.iter().map(|it| it.name.as_str().into());
            let names: Vec<Arc<str>> = names.collect();
            routes.insert((profile.namespace.clone(), profile.name.clone()), names);
        }
        for (service, pods) in &snapshot.services {
            let declared: &[WorkloadName] = match &service.members {
                model::Members::Workloads(workloads) => workloads,
                _ => &[],
            };
            let found = pods.iter().filter_map(|pod| pod.workload.as_ref());
            let names = declared.iter().chain(found).map(|it| it.name.clone());
            let mut workloads: Vec<_> = names.collect();
            workloads.sort();
            workloads.dedup();
            let mut service = Service {
                namespace: service.name.namespace.clone(),
                name: service.name.service.clone(),
                workloads,
                routes: Vec::new(),
            };
            let fqdn: Arc<str> = new.fqdn(&service).into();
            let routes = routes.remove(&(service.namespace.clone(), fqdn));
            service.routes = routes.unwrap_or_default();
            new.services.push(service);
        }
        new
    }

    /// The name clients call a service by, without port.
    pub fn fqdn(&self, service: &Service) -> String {
        self.name(&service.name, &service.namespace)
    }

    /// The full name of a service in a namespace, without port.
    pub(super) fn name(&self, service: &str, namespace: &str) -> String {
        format!("{service}.{namespace}.svc.{}", self.domain)
    }
}

impl From<&model::Pod> for Pod {
    fn from(pod: &model::Pod) -> Self {
        Self {
            name: pod.name.clone(),
            status: match pod.conditions {
                model::Conditions {
                    terminating: true, ..
                } => "Terminating",
                model::Conditions { serving: true, .. } => "Running",
                _ => "Pending",
            },
            is_meshed: pod.is_meshed(),
        }
    }
}

/// The sidecars to read, the gateway's included.
pub fn targets(snapshot: &Snapshot) -> Vec<scrape::Target> {
    let sidecars = snapshot.pods.iter().filter_map(|pod| {
        let sidecar = Sidecar {
            namespace: pod.namespace.clone(),
            deployment: pod.workload.as_ref()?.name.clone(),
            pod: pod.name.clone(),
        };
        Some((sidecar, pod.admin?))
    });
    sidecars.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        index::Index,
        model::{
            Conditions, GATEWAY, Members, Metadata, Port, Service, ServiceProfile, Target, Workload,
        },
    };
    use mesh_profile::{ProfileSpec, RouteSpec};

    fn pod(name: &str, conditions: Conditions, admin: Option<u16>) -> model::Pod {
        model::Pod {
            workload: Some(WorkloadName::deployment("web")),
            conditions,
            admin: admin.map(|port| ([127, 0, 0, 1], port).into()),
            ..model::Pod::new("shop", name)
        }
    }

    fn profile(route: &str) -> ServiceProfile {
        let route = RouteSpec {
            name: route.into(),
            ..RouteSpec::default()
        };
        let spec = ProfileSpec {
            routes: vec![route],
            ..ProfileSpec::default()
        };
        ServiceProfile {
            namespace: "shop".into(),
            name: "web-svc.shop.svc.cluster.local".into(),
            metadata: Metadata::default(),
            spec: Arc::new(spec),
        }
    }

    #[test]
    fn what_runs_is_what_is_asked_about() {
        let index = Index::new("cluster.local");
        let sink = index.sink();
        let web = WorkloadName::deployment("web");
        for name in [
            web.clone(),
            WorkloadName::deployment("job"),
            WorkloadName::gateway(),
        ] {
            sink.apply(Workload::new("shop", name));
        }
        sink.apply(
            Service::new("shop", "web-svc")
                .with_port(Port::new(80, Target::Number(80)))
                .with_members(Members::Workloads(vec![web])),
        );
        let terminating = Conditions {
            terminating: true,
            ..Conditions::default()
        };
        sink.apply(pod("web-0", Conditions::READY, Some(1)));
        sink.apply(pod("web-1", terminating, Some(2)));
        sink.apply(pod("web-2", Conditions::default(), None));
        sink.apply(model::Pod {
            workload: Some(WorkloadName::gateway()),
            ..pod(GATEWAY, Conditions::default(), Some(3))
        });
        sink.apply(profile("GET /"));
        let topology = Topology::new(&index.snapshot());
        let names: Vec<_> = topology.workloads.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["job", "web"]);
        let pods = &topology.workloads[1].pods;
        let status: Vec<_> = pods.iter().map(|pod| (pod.status, pod.is_meshed)).collect();
        assert_eq!(
            status,
            [("Running", true), ("Terminating", true), ("Pending", false)]
        );
        let [service] = &topology.services[..] else {
            panic!("one service, not {:?}", topology.services);
        };
        assert_eq!(&*service.name, "web-svc");
        assert_eq!(service.workloads, ["web".into()]);
        assert_eq!(service.routes, ["GET /".into()]);

        let mut targets = targets(&index.snapshot());
        targets.sort_by_key(|(_, admin)| admin.port());
        let pods: Vec<_> = targets.iter().map(|(source, _)| &*source.pod).collect();
        assert_eq!(pods, ["web-0", "web-1", GATEWAY]);
    }
}
