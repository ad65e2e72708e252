use super::*;
use crate::{
    resource::Body,
    source::workloads::{Replica, Workload},
};
use mesh_discover::ProfileSpec;
use mesh_profile::RouteSpec;

fn workload(name: &str, port: Option<u16>, ready: &[bool]) -> Workload {
    let replicas = ready.iter().enumerate().map(|(i, ready)| Replica {
        pod: format!("{name}-{i}"),
        ready: *ready,
        inbound: Some(([127, 0, 0, 1], 40_000 + i as u16).into()),
        ..Replica::default()
    });
    Workload {
        name: name.into(),
        namespace: "shop".into(),
        service_port: port,
        replicas: replicas.collect(),
        ..Workload::default()
    }
}

fn workloads(list: impl IntoIterator<Item = Workload>) -> Workloads {
    Workloads {
        namespace: "shop".into(),
        workloads: list.into_iter().collect(),
        ..Workloads::default()
    }
}

/// A profile of `web` in `namespace` whose only route is called `route`.
fn profile(namespace: &str, route: &str) -> Manifest {
    let spec = ProfileSpec {
        routes: vec![RouteSpec {
            name: route.into(),
            ..RouteSpec::default()
        }],
        ..ProfileSpec::default()
    };
    Manifest {
        key: Key::new(
            ManifestKind::ServiceProfile,
            namespace,
            "web.shop.svc.cluster.local",
        ),
        api_version: "linkerd.io/v1alpha2".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        body: Body::ServiceProfile(Arc::new(spec)),
    }
}

fn index() -> Index {
    let mut index = Index::new("cluster.local");
    index.set_workloads(workloads([
        workload("web", Some(8080), &[true, false, true]),
        workload("traffic", None, &[true]),
    ]));
    index
}

#[test]
fn an_address_of_a_service_is_a_name_of_it() {
    let mut index = Index::new("cluster.local");
    index.set_workloads(workloads([Workload {
        addresses: ["10.200.128.0", "fd00::8000"]
            .map(|it| it.parse().unwrap())
            .into(),
        ..workload("web", Some(8080), &[true])
    }]));
    for (authority, known) in [
        ("10.200.128.0:8080", true),
        ("[fd00::8000]:8080", true),
        ("10.200.128.0:80", false),
        ("10.200.128.1:8080", false),
    ] {
        let apex = index.apex(authority, "other");
        let fqdn = if known {
            "web.shop.svc.cluster.local"
        } else {
            ""
        };
        assert_eq!(&*apex.fqdn, fqdn, "{authority}");
        assert_eq!(index.endpoints(authority, "other").exists, known);
    }
}

fn route(apex: &Apex) -> Option<&str> {
    apex.profile.routes.first().map(|route| route.name.as_str())
}

#[test]
fn a_service_is_known_by_its_name_and_port_only() {
    let index = index();
    let apex = index.apex("web:8080", "shop");
    assert_eq!(&*apex.fqdn, "web.shop.svc.cluster.local");
    assert_eq!(apex, index.apex("web.shop.svc.cluster.local.:8080", "x"));
    assert_eq!(apex, index.apex("web:8080", ""));

    for stranger in [
        "web",
        "web:80",
        "web.other:8080",
        "traffic:80",
        "x:8080",
        "127.0.0.1:8080",
    ] {
        let apex = index.apex(stranger, "shop");
        assert_eq!((apex.service, &*apex.fqdn), (None, ""), "{stranger}");
        assert!(!index.endpoints(stranger, "shop").exists);
    }
}

#[test]
fn a_service_of_another_name_than_its_workloads_is_known_by_its_own() {
    let mut index = Index::new("cluster.local");
    let web = Workload {
        service: Some("web-svc".into()),
        ..workload("web", Some(8080), &[true])
    };
    index.set_workloads(workloads([web]));
    assert_eq!(index.apex("web:8080", "shop").service, None);
    let apex = index.apex("web-svc:8080", "shop");
    assert_eq!(&*apex.fqdn, "web-svc.shop.svc.cluster.local");
    let endpoints = index.endpoints("web-svc:8080", "shop");
    let labels = &endpoints.list[0].labels;
    assert_eq!(
        (labels["service"].as_str(), labels["deployment"].as_str()),
        ("web-svc", "web")
    );
}

#[test]
fn only_replicas_that_are_ready_are_endpoints() {
    let mut index = index();
    let endpoints = index.endpoints("web:8080", "shop");
    let pods: Vec<_> = endpoints
        .list
        .iter()
        .map(|endpoint| endpoint.labels["pod"].as_str())
        .collect();
    assert_eq!(pods, ["web-0", "web-2"]);
    assert_eq!(endpoints.list[0].labels["deployment"], "web");

    let mut draining = workload("web", Some(8080), &[true]);
    draining.replicas[0].draining = true;
    index.set_workloads(workloads([draining]));
    let endpoints = index.endpoints("web:8080", "shop");
    assert!(endpoints.exists && endpoints.list.is_empty());
}

#[test]
fn the_clients_profile_wins_whole_over_the_services() {
    let mut index = index();
    assert_eq!(route(&index.apex("web:8080", "client")), None);
    index.apply(profile("shop", "service's"));
    assert_eq!(route(&index.apex("web:8080", "shop")), Some("service's"));
    assert_eq!(
        route(&index.apex("web.shop:8080", "client")),
        Some("service's")
    );

    index.apply(profile("client", "client's"));
    let apex = index.apex("web.shop:8080", "client");
    assert_eq!(route(&apex), Some("client's"));
    assert_eq!(&*apex.resource.unwrap().namespace, "client");
    assert_eq!(route(&index.apex("web:8080", "shop")), Some("service's"));

    assert!(index.delete(&profile("client", "").key));
    assert!(!index.delete(&profile("client", "").key));
    assert_eq!(
        route(&index.apex("web.shop:8080", "client")),
        Some("service's")
    );
}

#[test]
fn subscribers_are_told_what_changed_and_nothing_else() {
    let mut index = index();
    let mut apex = index.subscribe_apex("web:8080", "shop");
    let mut endpoints = index.subscribe_endpoints("web:8080", "shop");
    assert_eq!(route(&apex.borrow_and_update()), None);
    assert_eq!(endpoints.borrow_and_update().list.len(), 2);

    assert!(index.apply(profile("shop", "a")));
    assert_eq!(route(&apex.borrow_and_update()), Some("a"));
    assert!(!endpoints.has_changed().unwrap());
    assert!(!index.apply(profile("shop", "a")));
    assert!(!apex.has_changed().unwrap());
    index.apply(profile("elsewhere", "b"));
    assert!(!apex.has_changed().unwrap());

    index.set_workloads(workloads([workload("web", Some(8080), &[true])]));
    assert!(!apex.has_changed().unwrap());
    assert_eq!(endpoints.borrow_and_update().list.len(), 1);

    index.set_workloads(workloads([]));
    assert_eq!(apex.borrow_and_update().service, None);
    assert!(!endpoints.borrow_and_update().exists);

    index.set_workloads(workloads([workload("web", Some(8080), &[true])]));
    assert_eq!(route(&apex.borrow_and_update()), Some("a"));
    index.reset([]);
    assert_eq!(route(&apex.borrow_and_update()), None);
}

#[test]
fn questions_nobody_asks_any_more_are_forgotten() {
    let mut index = index();
    let apex = index.subscribe_apex("web:8080", "shop");
    let endpoints = index.subscribe_endpoints("web:8080", "shop");
    drop(index.subscribe_apex("other:80", "shop"));
    drop(apex);
    index.publish();
    assert_eq!(index.watchers.len(), 1);
    drop(endpoints);
    index.publish();
    assert!(index.watchers.is_empty());
}

#[test]
fn a_rejection_stays_until_its_source_is_good() {
    let mut index = index();
    let rejection = Rejection {
        source: "a.yaml".into(),
        key: None,
        line: Some(3),
        column: Some(7),
        reason: "no".into(),
    };
    index.reject(rejection.clone());
    assert_eq!(rejection.to_string(), "a.yaml:3:7: no");
    assert_eq!(index.rejected().collect::<Vec<_>>(), [&rejection]);
    index.absolve("a.yaml");
    assert_eq!(index.rejected().count(), 0);
}
