use super::*;
use crate::model::{
    Conditions, Kind, Leaf, Members, Mesh, Metadata, Pod, PodPort, Port, Protocol, ResourceKind,
    Service, ServiceProfile, Target, TrafficSplit, Workload, WorkloadKind, WorkloadName,
};
use mesh_profile::{ProfileSpec, RequestMatchSpec, RouteSpec, Weight, WeightedDst};
use std::time::Duration;

/// A service of the namespace `shop` that the pods of `workloads` answer for.
fn service(name: &str, port: u16, workloads: &[&str]) -> Service {
    let workloads = workloads.iter().map(|&name| WorkloadName::deployment(name));
    Service::new("shop", name)
        .with_port(Port::new(port, Target::Name("http".into())))
        .with_members(Members::Workloads(workloads.collect()))
}

/// A ready pod of `workload` that listens on a port of 127.0.0.1.
fn pod(workload: &str, number: u16) -> Pod {
    Pod {
        workload: Some(WorkloadName::deployment(workload)),
        address: Some([127, 0, 0, 1].into()),
        ports: vec![PodPort {
            name: "http".into(),
            number,
            protocol: None,
        }],
        conditions: Conditions::READY,
        ..Pod::new("shop", format!("{workload}-{number}"))
    }
}

/// A profile of `web` in `namespace` whose only route is called `route`.
fn profile(namespace: &str, route: &str) -> ServiceProfile {
    let spec = ProfileSpec {
        routes: vec![RouteSpec {
            name: route.into(),
            condition: RequestMatchSpec::method("GET"),
            ..RouteSpec::default()
        }],
        ..ProfileSpec::default()
    };
    ServiceProfile {
        namespace: namespace.into(),
        name: "web.shop.svc.cluster.local".into(),
        metadata: Metadata::default(),
        spec: Arc::new(spec),
    }
}

fn profile_reference(namespace: &str) -> Reference {
    Resource::from(profile(namespace, "")).reference()
}

/// A mesh whose namespace is `shop`, with `web` on port 8080 and two ready pods of three.
fn mesh() -> (Index, Sink) {
    let index = Index::new("cluster.local");
    let sink = index.sink();
    sink.apply(Mesh {
        namespace: "shop".into(),
    });
    sink.apply(service("web", 8080, &["web"]));
    for number in [1, 2, 3] {
        let mut pod = pod("web", number);
        pod.conditions.ready = number != 2;
        sink.apply(pod);
    }
    sink.apply(pod("traffic", 9));
    sink.ready();
    (index, sink)
}

fn route(apex: &Apex) -> Option<&str> {
    apex.profile.routes().first().map(|route| &**route.name())
}

fn ports(endpoints: &Endpoints) -> Vec<u16> {
    endpoints.list.iter().map(|it| it.addr.port()).collect()
}

#[test]
fn an_address_of_a_service_is_a_name_of_it() {
    let (index, sink) = mesh();
    let mut web = service("web", 8080, &["web"]);
    web.addresses = ["10.200.128.0", "fd00::8000"]
        .map(|it| it.parse().unwrap())
        .into();
    let mut apex = index.subscribe_apex("10.200.128.0:8080", "other");
    assert_eq!(apex.current().service, None);
    sink.apply(web.clone());
    assert!(apex.try_next().unwrap().service.is_some());
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

    // Who has found the service by its address depends on all that the service depends on.
    assert!(sink.apply(profile("shop", "a")));
    assert_eq!(route(&apex.try_next().unwrap()), Some("a"));
    web.addresses.clear();
    sink.apply(web);
    assert_eq!(apex.try_next().unwrap().service, None);
    sink.apply(profile("shop", "b"));
    assert!(apex.try_next().is_none());
}

#[test]
fn a_service_is_known_by_its_name_and_port_only() {
    let (index, _) = mesh();
    let apex = index.apex("web:8080", "shop");
    assert_eq!(&*apex.fqdn, "web.shop.svc.cluster.local");
    assert_eq!(apex, index.apex("web.shop.svc.cluster.local.:8080", "x"));
    assert_eq!(apex, index.apex("web:8080", ""));

    for outside in [
        "web",
        "web:80",
        "web.other:8080",
        "traffic:80",
        "x:8080",
        "127.0.0.1:8080",
    ] {
        let apex = index.apex(outside, "shop");
        assert_eq!((apex.service, &*apex.fqdn), (None, ""), "{outside}");
        assert!(!index.endpoints(outside, "shop").exists);
    }
}

#[test]
fn clients_without_a_namespace_are_in_that_of_the_mesh() {
    let (index, sink) = mesh();
    let mut endpoints = index.subscribe_endpoints("web:8080", "");
    assert!(endpoints.try_next().unwrap().exists);
    sink.apply(Mesh {
        namespace: "other".into(),
    });
    assert!(!endpoints.try_next().unwrap().exists);
    assert!(sink.delete(Reference::mesh()));
    assert_eq!(&*index.default_namespace(), "default");
}

#[test]
fn only_pods_that_are_ready_are_endpoints() {
    let (index, sink) = mesh();
    let endpoints = index.endpoints("web:8080", "shop");
    assert_eq!(ports(&endpoints), [1, 3]);
    let labels = &endpoints.list[0].labels;
    let label = |name| labels.get(name).map(String::as_str);
    assert_eq!(label("deployment"), Some("web"));
    assert_eq!(label("pod"), Some("web-1"));
    assert_eq!(
        (label("service"), label("namespace")),
        (Some("web"), Some("shop"))
    );

    for number in [1, 3] {
        let mut leaving = pod("web", number);
        leaving.conditions.terminating = true;
        sink.apply(leaving);
    }
    let endpoints = index.endpoints("web:8080", "shop");
    assert!(endpoints.exists && endpoints.list.is_empty());
}

#[test]
fn two_workloads_with_one_service_share_it() {
    let (index, sink) = mesh();
    sink.apply(service("web", 8080, &["web", "web-v2"]));
    let mut endpoints = index.subscribe_endpoints("web:8080", "shop");
    let mut canary = pod("web-v2", 7);
    canary.revision = Some("2".into());
    sink.apply(canary);
    let endpoints = endpoints.try_next().unwrap();
    assert_eq!(ports(&endpoints), [1, 3, 7]);
    let labels = |place: usize| &endpoints.list[place].labels;
    assert_eq!(labels(2)["deployment"], "web-v2");
    assert_eq!(labels(2)["revision"], "2");
    assert!(!labels(0).contains_key("revision"));
}

#[test]
fn a_pod_answers_for_every_service_that_selects_it_on_each_of_its_ports() {
    let (index, sink) = mesh();
    let mut both = pod("api", 5);
    both.labels = [("app".into(), "api".into()), ("tier".into(), "back".into())].into();
    both.ports.push(PodPort {
        name: "admin".into(),
        number: 6,
        protocol: Some(Protocol::H2),
    });
    sink.apply(both);
    let selector = [("app".into(), "api".into())].into();
    let api = Service::new("shop", "api")
        .with_port(Port::new(80, Target::Name("http".into())))
        .with_port(Port::new(81, Target::Name("admin".into())))
        .with_port(Port::new(82, Target::Number(600)))
        .with_port(Port::new(83, Target::Name("none".into())))
        .with_members(Members::Selector(selector));
    sink.apply(api);
    let back = Service::new("shop", "back")
        .with_port(Port::new(80, Target::Name("http".into())))
        .with_members(Members::Pods(vec!["api-5".into()]));
    sink.apply(back);
    for (authority, expected) in [
        ("api:80", &[5][..]),
        ("api:81", &[6]),
        ("api:82", &[600]),
        ("api:83", &[]),
        ("back:80", &[5]),
    ] {
        let endpoints = index.endpoints(authority, "shop");
        assert_eq!(ports(&endpoints), expected, "{authority}");
        let h2 = endpoints.list.first().is_some_and(|it| it.h2);
        assert_eq!(h2, authority == "api:81");
    }

    // It leaves the service that selects by label, and stays in the other.
    let mut apis = index.subscribe_endpoints("api:80", "shop");
    let mut backs = index.subscribe_endpoints("back:80", "shop");
    apis.try_next();
    backs.try_next();
    sink.apply(pod("api", 5));
    assert!(apis.try_next().unwrap().list.is_empty());
    assert!(backs.try_next().is_none());
}

#[test]
fn a_port_that_carries_bytes_says_so() {
    let (index, sink) = mesh();
    let mut redis = service("redis", 6379, &["redis"]);
    redis.ports[0].protocol = Some(Protocol::Opaque);
    sink.apply(redis);
    assert!(index.apex("redis:6379", "shop").opaque);
    assert!(!index.apex("web:8080", "shop").opaque);
}

#[test]
fn the_clients_profile_wins_whole_over_the_services() {
    let (index, sink) = mesh();
    assert_eq!(route(&index.apex("web:8080", "client")), None);
    sink.apply(profile("shop", "service's"));
    assert_eq!(route(&index.apex("web:8080", "shop")), Some("service's"));
    let apex = index.apex("web.shop:8080", "client");
    assert_eq!(route(&apex), Some("service's"));

    sink.apply(profile("client", "client's"));
    let apex = index.apex("web.shop:8080", "client");
    assert_eq!(route(&apex), Some("client's"));
    assert_eq!(&*apex.resource.unwrap().namespace, "client");
    assert_eq!(route(&index.apex("web:8080", "shop")), Some("service's"));

    assert!(sink.delete(profile_reference("client")));
    assert!(!sink.delete(profile_reference("client")));
    let apex = index.apex("web.shop:8080", "client");
    assert_eq!(route(&apex), Some("service's"));
}

/// Counts the warnings of the current thread.
#[derive(Clone, Default)]
struct Warnings(Arc<AtomicU64>);

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_profile_is_compiled_once_and_its_invalid_parts_are_left_out_with_a_warning() {
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let (index, sink) = mesh();
    let mut subscription = index.subscribe_apex("web:8080", "shop");
    let mut broken = profile("shop", "slow");
    let mut spec = (*broken.spec).clone();
    spec.routes[0].condition = RequestMatchSpec::method("GET");
    spec.routes[0].timeout = Some("soon".into());
    spec.routes.push(RouteSpec {
        name: "sound".into(),
        condition: RequestMatchSpec::method("GET"),
        timeout: Some("300ms".into()),
        ..RouteSpec::default()
    });
    broken.spec = Arc::new(spec);
    sink.apply(broken.clone());
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);

    let first = subscription.try_next().unwrap();
    let [route] = first.profile.routes() else {
        panic!("one route is valid, not {:?}", first.profile);
    };
    assert_eq!(&**route.name(), "sound");
    assert_eq!(route.timeout(), Some(Duration::from_millis(300)));
    for client in ["shop", "client", ""] {
        let again = index.apex("web.shop:8080", client);
        assert!(Arc::ptr_eq(&first.profile, &again.profile), "{client}");
    }
    assert!(!sink.apply(broken));
    assert_eq!(warnings.0.load(Ordering::Relaxed), 1);
}

#[test]
fn subscribers_are_told_what_changed_and_nothing_else() {
    let (index, sink) = mesh();
    let mut apex = index.subscribe_apex("web:8080", "shop");
    let mut endpoints = index.subscribe_endpoints("web:8080", "shop");
    assert_eq!(route(&apex.try_next().unwrap()), None);
    assert_eq!(endpoints.try_next().unwrap().list.len(), 2);

    assert!(sink.apply(profile("shop", "a")));
    assert_eq!(route(&apex.try_next().unwrap()), Some("a"));
    assert!(endpoints.try_next().is_none());
    assert!(!sink.apply(profile("shop", "a")));
    assert!(apex.try_next().is_none());
    sink.apply(profile("elsewhere", "b"));
    assert!(apex.try_next().is_none());

    sink.reset(Kind::Pod, [pod("web", 1).into()]);
    assert!(apex.try_next().is_none());
    assert_eq!(ports(&endpoints.try_next().unwrap()), [1]);
    // An answer that comes out the same is no news.
    let mut known = pod("web", 1);
    known.pid = Some(7);
    assert!(sink.apply(known));
    assert!(endpoints.try_next().is_none());

    sink.reset(Kind::Service, []);
    assert_eq!(apex.try_next().unwrap().service, None);
    assert!(!endpoints.try_next().unwrap().exists);

    sink.apply(service("web", 8080, &["web"]));
    assert_eq!(route(&apex.try_next().unwrap()), Some("a"));
    sink.reset(Kind::Resource(ResourceKind::ServiceProfile), []);
    assert_eq!(route(&apex.try_next().unwrap()), None);
}

#[test]
fn events_that_are_sent_together_take_effect_together() {
    let (index, sink) = mesh();
    let mut endpoints = index.subscribe_endpoints("web:8080", "shop");
    endpoints.try_next();
    let before = index.answers_computed();
    sink.send([
        Event::Delete(Object::from(pod("web", 1)).reference()),
        Event::Delete(Object::from(pod("web", 3)).reference()),
        Event::Apply(pod("web", 4).into()),
    ]);
    assert_eq!(ports(&endpoints.try_next().unwrap()), [4]);
    assert_eq!(index.answers_computed() - before, 1);
}

#[test]
fn questions_nobody_asks_any_more_are_closed() {
    let (index, _sink) = mesh();
    let apex = index.subscribe_apex("web:8080", "shop");
    let again = index.subscribe_apex("web:8080", "shop");
    let endpoints = index.subscribe_endpoints("web:8080", "shop");
    assert_eq!(index.open_questions(), 2);
    drop(apex);
    assert_eq!(index.open_questions(), 2);
    drop(again);
    drop(endpoints);
    assert_eq!(index.open_questions(), 0);
    assert_eq!(index.contents().questions.subjects(), 0);
}

#[test]
fn the_source_that_was_attached_first_decides_and_the_other_takes_over() {
    let (index, first) = mesh();
    let second = index.sink();
    let mut theirs = pod("web", 1);
    theirs.ports[0].number = 1001;
    assert!(!second.apply(theirs.clone()), "it does not count");
    assert_eq!(ports(&index.endpoints("web:8080", "shop")), [1, 3]);
    // Neither resets what the other has.
    second.reset(Kind::Pod, [theirs.into()]);
    first.reset(Kind::Pod, []);
    assert_eq!(ports(&index.endpoints("web:8080", "shop")), [1001]);
    second.reset(Kind::Pod, []);
    assert!(index.snapshot().pods.is_empty());
}

#[tokio::test]
async fn nobody_is_answered_before_every_source_is_loaded() {
    let (index, _sink) = mesh();
    index.ready().await;
    let second = index.sink();
    let mut ready = tokio::spawn({
        let index = index.clone();
        async move { index.ready().await }
    });
    tokio::select! {
        biased;
        _ = &mut ready => panic!("not before the second source"),
        () = tokio::task::yield_now() => {}
    }
    second.ready();
    ready.await.unwrap();
}

#[test]
fn a_snapshot_is_made_once_for_each_change() {
    let (index, sink) = mesh();
    sink.apply(Workload::new("shop", WorkloadName::deployment("web")));
    let snapshot = index.snapshot();
    assert!(Arc::ptr_eq(&snapshot, &index.snapshot()));
    assert_eq!((snapshot.workloads.len(), snapshot.pods.len()), (1, 4));
    let (web, pods) = &snapshot.services[0];
    assert_eq!((web.name.to_string().as_str(), pods.len()), ("web.shop", 3));
    sink.delete(Reference::new(
        Kind::Workload(WorkloadKind::Deployment),
        "shop",
        "web",
    ));
    assert!(index.snapshot().workloads.is_empty());
}

#[test]
fn a_rejection_stays_until_its_source_is_good() {
    let (index, sink) = mesh();
    let rejection = Rejection {
        line: Some(3),
        column: Some(7),
        ..Rejection::of("a.yaml", "no")
    };
    sink.reject(rejection.clone());
    assert_eq!(rejection.to_string(), "a.yaml:3:7: no");
    assert_eq!(index.rejections(), [rejection]);
    sink.clear_rejection("a.yaml");
    assert!(index.rejections().is_empty());
}

#[tokio::test]
async fn changes_of_any_object_are_told() {
    let (index, sink) = mesh();
    let mut changes = index.changes();
    sink.apply(Workload::new("shop", WorkloadName::deployment("job")));
    assert!(changes.changed().await);
}

/// A split of `web` on port 8080, created at `created`.
fn split(name: &str, created: Option<&str>, leaves: &[(&str, u64)]) -> TrafficSplit {
    let leaves = leaves.iter().map(|&(service, milli)| Leaf {
        service: service.into(),
        weight: Weight::from_milli(milli),
    });
    TrafficSplit {
        namespace: "shop".into(),
        name: name.into(),
        metadata: Metadata {
            created: created.map(Into::into),
            ..Metadata::default()
        },
        service: "web".into(),
        leaves: leaves.collect(),
    }
}

/// The leaves by short name and in thousandths, and the name of the split that decides them.
fn leaves(apex: &Apex) -> (Option<String>, Vec<(String, u64)>) {
    let leaves = apex.leaves().iter().map(|leaf| {
        let name = leaf.authority.replace(".shop.svc.cluster.local", "");
        (name, leaf.weight.milli())
    });
    let split = apex.split.as_ref().map(|it| it.resource.name.to_string());
    (split, leaves.collect())
}

fn reasons(index: &Index, split: &TrafficSplit) -> Vec<&'static str> {
    let status = index.status(&Resource::from(split.clone()).reference());
    status.conditions.iter().map(|it| it.reason).collect()
}

#[test]
fn a_split_replaces_the_leaves_of_the_profile_and_its_deletion_restores_them() {
    let (index, sink) = mesh();
    sink.apply(service("web-v2", 8080, &["web-v2"]));
    let mut with_overrides = profile("shop", "a");
    let mut spec = (*with_overrides.spec).clone();
    spec.dst_overrides.push(WeightedDst {
        authority: "other.shop.svc.cluster.local:8080".into(),
        weight: Weight::from_milli(1000),
    });
    with_overrides.spec = Arc::new(spec);
    sink.apply(with_overrides);
    let mut apex = index.subscribe_apex("web.shop:8080", "other");
    assert_eq!(
        leaves(&apex.try_next().unwrap()).1,
        [("other:8080".into(), 1000)]
    );

    // The apex may be one of its leaves.
    let canary = split("canary", None, &[("web", 900), ("web-v2", 100)]);
    sink.apply(canary.clone());
    let answer = apex.try_next().unwrap();
    let shares = vec![("web:8080".into(), 900), ("web-v2:8080".into(), 100)];
    assert_eq!(leaves(&answer), (Some("canary".into()), shares));
    // Routes stay those of the profile.
    assert_eq!(route(&answer), Some("a"));
    assert_eq!(reasons(&index, &canary), ["Accepted", "ResolvedRefs"]);

    sink.delete(Resource::from(canary).reference());
    assert_eq!(
        leaves(&apex.try_next().unwrap()).1,
        [("other:8080".into(), 1000)]
    );
}

#[test]
fn a_leaf_that_cannot_serve_gets_nothing_until_it_can() {
    let (index, sink) = mesh();
    let mut apex = index.subscribe_apex("web:8080", "shop");
    let canary = split("canary", None, &[("web-v2", 1000), ("web", 0)]);
    sink.apply(canary.clone());
    // No other leaf has a weight, so traffic stays where it was.
    assert_eq!(leaves(&apex.try_next().unwrap()), (None, vec![]));
    assert_eq!(reasons(&index, &canary), ["Accepted", "BackendNotFound"]);

    sink.apply(service("web-v2", 80, &["web-v2"]));
    assert!(apex.try_next().is_none());
    let status = index.status(&Resource::from(canary.clone()).reference());
    assert!(
        status.conditions[1]
            .message
            .starts_with("the service web-v2 has no port 8080")
    );

    sink.apply(service("web-v2", 8080, &["web-v2"]));
    let shares = vec![("web-v2:8080".into(), 1000), ("web:8080".into(), 0)];
    assert_eq!(leaves(&apex.try_next().unwrap()).1, shares);
    assert_eq!(reasons(&index, &canary), ["Accepted", "ResolvedRefs"]);

    sink.delete(service("web-v2", 8080, &[]).name.reference());
    assert_eq!(leaves(&apex.try_next().unwrap()), (None, vec![]));
    sink.delete(service("web", 8080, &[]).name.reference());
    assert_eq!(reasons(&index, &canary)[0], "TargetNotFound");
}

#[test]
fn of_two_splits_of_a_service_the_older_is_in_force() {
    let (index, sink) = mesh();
    sink.apply(service("web-v2", 8080, &["web-v2"]));
    let decides = |all: &[&TrafficSplit]| {
        for split in all {
            sink.apply((*split).clone());
        }
        leaves(&index.apex("web:8080", "shop")).0.unwrap()
    };
    let early = split("z", Some("2026-01-01T00:00:00Z"), &[("web", 1)]);
    let late = split("a", Some("2026-01-01T00:00:01.5Z"), &[("web-v2", 1)]);
    let by_hand = split("b", None, &[("web-v2", 1)]);
    assert_eq!(decides(&[&late]), "a");
    assert_eq!(decides(&[&early]), "z");
    assert_eq!(decides(&[&by_hand]), "b");
    assert_eq!(decides(&[&split("c", None, &[("web", 1)])]), "b");
    assert_eq!(reasons(&index, &late)[0], "Conflicted");
    assert_eq!(reasons(&index, &by_hand)[0], "Accepted");
    let status = index.status(&Resource::from(late.clone()).reference());
    assert!(
        status.conditions[0]
            .message
            .contains("older TrafficSplit b")
    );

    for split in [&by_hand, &split("c", None, &[]), &early] {
        sink.delete(Resource::from(split.clone()).reference());
    }
    assert_eq!(
        leaves(&index.apex("web:8080", "shop")).0.as_deref(),
        Some("a")
    );
    assert_eq!(reasons(&index, &late)[0], "Accepted");
}

#[test]
fn a_changed_split_costs_the_questions_of_its_apex_and_the_conditions_of_its_rivals() {
    let (index, sink) = mesh();
    for name in ["a", "b", "web-v2"] {
        sink.apply(service(name, 8080, &[name]));
    }
    let of_a = TrafficSplit {
        service: "a".into(),
        ..split("of-a", None, &[("web-v2", 1)])
    };
    sink.apply(of_a.clone());
    let questions = [
        "a:8080",
        "b:8080",
        "web-v2:8080",
        "web:8080",
        "web.shop:8080",
    ];
    let _open: Vec<_> = questions
        .iter()
        .map(|authority| index.subscribe_apex(authority, "shop"))
        .collect();
    let _endpoints = index.subscribe_endpoints("web-v2:8080", "shop");
    let changed = || {
        let changed = index.take_changed_statuses().into_iter();
        changed
            .map(|(it, _)| it.name.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(changed(), ["of-a"]);

    let before = index.answers_computed();
    sink.apply(split("canary", None, &[("web", 9), ("web-v2", 1)]));
    assert_eq!(index.answers_computed() - before, 2);
    assert_eq!(changed(), ["canary"]);
    sink.apply(split("rival", None, &[("web", 1)]));
    assert_eq!(changed(), ["canary", "rival"]);
    assert_eq!(changed(), Vec::<String>::new());

    // A service touches the splits that name it.
    sink.apply(service("b", 81, &["b"]));
    assert_eq!(changed(), Vec::<String>::new());
    sink.apply(service("web-v2", 81, &["web-v2"]));
    assert_eq!(changed(), ["canary", "of-a"]);
}
