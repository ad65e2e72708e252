use mesh_control::{
    index::Snapshot,
    model::{Members, Service},
};

/// Suggests the service that `authority`, which the mesh does not know, may mean.
pub(super) fn hint(snapshot: &Snapshot, authority: &str, namespace: &str) -> Option<String> {
    let (host, port) = authority.split_once(':').unwrap_or((authority, "80"));
    let mut labels = host.split('.');
    let name = labels.next()?;
    let namespace = labels.next().unwrap_or(namespace);
    let ports = |service: &Service| {
        let numbers = service.ports.iter().map(|port| port.number.to_string());
        numbers.collect::<Vec<_>>().join(" or ")
    };
    let services = || {
        let services = snapshot.services.iter().map(|(service, _)| service);
        services.filter(|service| &*service.name.namespace == namespace)
    };
    if let Some(service) = services().find(|service| &*service.name.service == name) {
        return Some(format!(
            "the port of {name} is {}, not {port}",
            ports(service)
        ));
    }
    let mut workloads = snapshot.workloads.iter();
    workloads.find(|it| &*it.namespace == namespace && &*it.name.name == name)?;
    let mut of_workload = services().filter(|service| match &service.members {
        Members::Workloads(workloads) => workloads.iter().any(|it| &*it.name == name),
        Members::Selector(_) | Members::Pods(_) => false,
    });
    Some(match of_workload.next() {
        Some(service) => format!(
            "the service of the workload {name} is {}:{}",
            service.name.service,
            ports(service)
        ),
        None => format!("{name} is a workload without a port, so it has no service"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_control::{
        index::Index,
        model::{Port, Target, Workload, WorkloadName},
    };

    #[test]
    fn a_wrong_port_is_told() {
        let index = Index::new("cluster.local");
        let sink = index.sink();
        for name in ["books", "web", "traffic"] {
            sink.apply(Workload::new("shop", WorkloadName::deployment(name)));
        }
        for (service, port, workload) in [("books", 7002, "books"), ("web-svc", 80, "web")] {
            let workload = WorkloadName::deployment(workload);
            sink.apply(
                Service::new("shop", service)
                    .with_port(Port::new(port, Target::Number(port)))
                    .with_members(Members::Workloads(vec![workload])),
            );
        }
        let snapshot = index.snapshot();
        let hint = |authority| hint(&snapshot, authority, "shop");
        assert_eq!(
            hint("books").as_deref(),
            Some("the port of books is 7002, not 80")
        );
        assert_eq!(
            hint("books.shop.svc:1").as_deref(),
            Some("the port of books is 7002, not 1")
        );
        assert_eq!(
            hint("web").as_deref(),
            Some("the service of the workload web is web-svc:80")
        );
        assert_eq!(
            hint("web-svc:1").as_deref(),
            Some("the port of web-svc is 80, not 1")
        );
        assert!(hint("traffic:1").unwrap().contains("no service"));
        assert_eq!(hint("books.other:7002"), None);
        assert_eq!(hint("example.com"), None);
    }
}
