//! The questions, asked of a small booksapp: what each sidecar exposes as text, the answers as
//! numbers.

use super::*;
use crate::stats::{GATEWAY, Pod, Reading, Service, Split, Workload};
use mesh_profile::Weight;
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
const EPOCH: u64 = 1_700_000_000;

/// A store in which every sidecar was read twice, a minute apart, the first time all zero.
struct Mesh {
    store: Store,
    topology: Topology,
    now: Instant,
}

impl Mesh {
    fn new(metrics: &[(&str, &str)]) -> Self {
        let zero = tokio::time::Instant::now().into_std();
        let mut store = Store::new();
        for second in [0, 60] {
            for (pod, text) in metrics {
                let text: String = text
                    .lines()
                    .map(|line| match line.trim().rsplit_once(' ') {
                        Some((series, _)) if second == 0 => format!("{series} 0\n"),
                        _ => format!("{}\n", line.trim()),
                    })
                    .collect();
                let text = text + &format!("process_start_time_seconds {EPOCH}\n");
                let reading = Reading {
                    text: &text,
                    at: zero + Duration::from_secs(second),
                    calendar: Duration::from_secs(EPOCH + second),
                };
                store.ingest(&source(pod), &reading);
            }
        }
        Self {
            store,
            topology: topology(),
            now: zero + MINUTE,
        }
    }

    fn stat(&self, ask: impl FnOnce(&mut StatQuery)) -> Result<Vec<ResourceTraffic>, QueryError> {
        let mut query = StatQuery {
            resources: vec![Resource::all(Kind::Deployment)],
            namespace: Some("booksapp".to_owned()),
            to: None,
            from: None,
            window: MINUTE,
            unmeshed: false,
        };
        ask(&mut query);
        let tables = stat(&self.store, &self.topology, self.now, &query)?;
        Ok(tables
            .into_iter()
            .flat_map(|table| table.resources)
            .collect())
    }

    fn routes(&self, resource: &str, to: Option<&str>) -> Result<Vec<RouteTraffic>, QueryError> {
        let query = RoutesQuery {
            resource: resource.parse().unwrap(),
            namespace: "booksapp".to_owned(),
            to: to.map(peer),
            window: MINUTE,
        };
        let tables = routes(&self.store, &self.topology, self.now, &query)?;
        Ok(tables.into_iter().flat_map(|table| table.routes).collect())
    }

    fn edges(&self, kind: Kind) -> Vec<Edge> {
        let namespace = Some("booksapp".to_owned());
        edges(&self.store, self.now, &EdgesQuery { kind, namespace })
    }
}

fn source(pod: &str) -> Sidecar {
    let deployment = pod.rsplit_once('-').map_or(pod, |(name, _)| name);
    Sidecar {
        namespace: "booksapp".into(),
        deployment: if pod == GATEWAY { GATEWAY } else { deployment }.into(),
        pod: pod.into(),
    }
}

fn peer(resource: &str) -> Peer {
    Peer {
        resource: resource.parse().unwrap(),
        namespace: "booksapp".to_owned(),
    }
}

fn topology() -> Topology {
    let workload = |name: &str, is_meshed| Workload {
        namespace: "booksapp".into(),
        name: name.into(),
        pods: vec![Pod {
            name: format!("{name}-0").into(),
            status: "Running",
            is_meshed,
        }],
    };
    let service = |name: &str, routes: &[&str]| Service {
        namespace: "booksapp".into(),
        name: name.into(),
        workloads: vec![name.into()],
        routes: routes.iter().map(|&route| route.into()).collect(),
    };
    Topology {
        domain: "cluster.local".into(),
        splits: vec![Split {
            namespace: "booksapp".into(),
            name: "error-split".into(),
            service: "books".into(),
            leaves: [("books", 900), ("errors", 100), ("idle", 0)]
                .map(|(leaf, milli)| (leaf.into(), Weight::from_milli(milli)))
                .into(),
        }],
        workloads: vec![
            workload("webapp", true),
            workload("authors", true),
            workload("legacy", false),
        ],
        services: vec![
            service("authors", &["HEAD /authors/{id}.json", "GET /authors.json"]),
            service("webapp", &[]),
        ],
    }
}

const AUTHORS: &str = r#"response_total{direction="inbound",classification="success",tls="no_identity"} 45
    response_total{direction="inbound",classification="failure"} 15
    response_latency_ms_bucket{direction="inbound",status_code="200",le="1"} 0
    response_latency_ms_bucket{direction="inbound",status_code="200",le="2"} 30
    response_latency_ms_bucket{direction="inbound",status_code="200",le="3"} 60
    response_latency_ms_bucket{direction="inbound",status_code="200",le="+Inf"} 60
    route_response_total{direction="inbound",dst="authors.booksapp.svc.cluster.local:7001",rt_route="HEAD /authors/{id}.json",classification="failure"} 15
    route_response_total{direction="inbound",dst="authors.booksapp.svc.cluster.local:7001",rt_route="HEAD /authors/{id}.json",classification="success"} 15
    route_response_total{direction="inbound",dst="authors.booksapp.svc.cluster.local:7001",classification="success"} 30
    route_response_total{direction="inbound",dst="elsewhere:7001",classification="success"} 9
    tcp_open_connections{direction="inbound",peer="src"} 8
    tcp_open_connections{direction="inbound",peer="dst"} 2
    tcp_read_bytes_total{direction="inbound",peer="src"} 6000
    tcp_write_bytes_total{direction="inbound",peer="src"} 600"#;

const WEBAPP: &str = r#"request_total{direction="outbound",dst_namespace="booksapp",dst_service="authors",dst_deployment="authors",dst_pod="authors-0",tls="no_identity",no_tls_reason="loopback"} 70
    response_total{direction="outbound",dst_namespace="booksapp",dst_service="authors",dst_deployment="authors",dst_pod="authors-0",classification="success"} 30
    response_total{direction="outbound",dst_namespace="booksapp",dst_service="authors",dst_deployment="authors",dst_pod="authors-0",classification="failure"} 30
    response_total{direction="outbound",authority="example.com:80",classification="success"} 6
    route_response_total{direction="outbound",dst="authors.booksapp.svc.cluster.local:7001",rt_route="HEAD /authors/{id}.json",classification="success",error=""} 30
    route_actual_response_total{direction="outbound",dst="authors.booksapp.svc.cluster.local:7001",rt_route="HEAD /authors/{id}.json",classification="success",error=""} 30
    route_actual_response_total{direction="outbound",dst="authors.booksapp.svc.cluster.local:7001",rt_route="HEAD /authors/{id}.json",classification="failure",error=""} 30"#;

const FROM_GATEWAY: &str = r#"request_total{direction="outbound",dst_namespace="booksapp",dst_service="webapp",dst_deployment="webapp",dst_pod="webapp-0"} 6
    response_total{direction="outbound",dst_namespace="booksapp",dst_service="webapp",dst_deployment="webapp",dst_pod="webapp-0",classification="success"} 6"#;

fn booksapp() -> Mesh {
    Mesh::new(&[
        ("authors-0", AUTHORS),
        ("webapp-0", WEBAPP),
        (GATEWAY, FROM_GATEWAY),
    ])
}

fn meshed(with_sidecar: usize, all: usize) -> Option<Meshed> {
    Some(Meshed { with_sidecar, all })
}

fn names(rows: &[ResourceTraffic]) -> Vec<&str> {
    rows.iter().map(|row| &*row.name).collect()
}

#[test]
fn a_workload_is_what_comes_in() {
    let rows = booksapp().stat(|_| {}).unwrap();
    assert_eq!(names(&rows), ["authors", "webapp"]);
    let authors = &rows[0];
    assert_eq!(authors.meshed, meshed(1, 1));
    assert_eq!(
        (authors.responses.success(), authors.responses.per_second()),
        (Some(0.75), Some(1.0))
    );
    let latency = authors.latency.unwrap();
    assert_eq!(latency.p50, Duration::from_millis(2));
    assert_eq!(latency.p95, Duration::from_micros(2_900));
    let tcp = authors.tcp.unwrap();
    assert_eq!(tcp.open, Some(8));
    assert_eq!(tcp.read_per_second(), Some(100.0));
    assert_eq!(tcp.written_per_second(), Some(10.0));
    // Nothing came in, whatever went out.
    assert_eq!(
        (rows[1].responses.success(), rows[1].responses.per_second()),
        (None, None)
    );
    assert_eq!(rows[1].latency, None);
}

#[test]
fn a_pod_has_a_status_and_a_namespace_sums_up() {
    let mesh = booksapp();
    let pods = mesh
        .stat(|ask| ask.resources = vec!["po/authors-0".parse().unwrap()])
        .unwrap();
    assert_eq!(names(&pods), ["authors-0"]);
    assert_eq!(pods[0].status, Some("Running"));

    let all = mesh
        .stat(|ask| ask.resources = vec![Resource::all(Kind::Namespace)])
        .unwrap();
    assert_eq!(names(&all), ["booksapp"]);
    assert_eq!(all[0].meshed, meshed(2, 3));
    assert_eq!(all[0].responses.per_second(), Some(1.0));
}

#[test]
fn what_has_no_sidecar_is_hidden_unless_asked_for() {
    let rows = booksapp().stat(|ask| ask.unmeshed = true).unwrap();
    assert_eq!(names(&rows), ["authors", "legacy", "webapp"]);
    assert_eq!(rows[1].meshed, meshed(0, 1));
}

#[test]
fn to_and_from_look_at_the_callers_side() {
    let mesh = booksapp();
    let to = mesh.stat(|ask| ask.to = Some(peer("svc/authors"))).unwrap();
    assert_eq!(names(&to), ["webapp"]);
    assert_eq!(
        (to[0].responses.success(), to[0].responses.per_second()),
        (Some(0.5), Some(1.0))
    );

    let from = mesh
        .stat(|ask| ask.from = Some(peer("deploy/webapp")))
        .unwrap();
    assert_eq!(names(&from), ["authors"]);
    assert_eq!(from[0].responses.success(), Some(0.5));
    let refused = mesh.stat(|ask| ask.from = Some(peer("svc/authors")));
    assert!(matches!(refused, Err(QueryError::Unsupported(_))));
}

#[test]
fn a_service_is_what_is_sent_to_it() {
    let mesh = booksapp();
    let services = |unmeshed| {
        mesh.stat(|ask| {
            ask.resources = vec![Resource::all(Kind::Service)];
            ask.unmeshed = unmeshed;
        })
        .unwrap()
    };
    let rows = services(false);
    assert_eq!(names(&rows), ["authors", "webapp"]);
    assert_eq!(
        (rows[0].responses.success(), rows[1].responses.per_second()),
        (Some(0.5), Some(0.1))
    );
    assert_eq!(rows[0].meshed, None);
    // Destinations that discovery does not know have no service, but an authority.
    assert_eq!(
        names(&services(true)),
        ["authors", "example.com:80", "webapp"]
    );
}

#[test]
fn the_gateway_is_listed_by_name_only() {
    let mesh = booksapp();
    assert!(!names(&mesh.stat(|_| {}).unwrap()).contains(&GATEWAY));
    let rows = mesh.stat(|ask| {
        ask.resources = vec![Resource::named(Kind::Deployment, GATEWAY)];
        ask.to = Some(peer("deploy/webapp"));
    });
    assert_eq!(names(&rows.unwrap()), [GATEWAY]);
}

#[test]
fn a_name_that_is_not_there_is_an_error() {
    let refused = booksapp().stat(|ask| ask.resources = vec!["deploy/nope".parse().unwrap()]);
    assert_eq!(
        refused.unwrap_err().to_string(),
        "deployment \"nope\" not found in namespace \"booksapp\""
    );
}

#[test]
fn routes_come_from_the_profile_and_the_traffic_from_the_server() {
    let rows = booksapp().routes("deploy/authors", None).unwrap();
    let routes: Vec<_> = rows.iter().map(|row| &*row.route).collect();
    assert_eq!(
        routes,
        ["GET /authors.json", "HEAD /authors/{id}.json", "[DEFAULT]"]
    );
    assert_eq!(rows[0].effective.success(), None);
    assert_eq!(rows[1].effective.success(), Some(0.5));
    assert_eq!(rows[1].effective.per_second(), Some(0.5));
    assert_eq!(rows[1].actual.per_second(), None);
    assert_eq!(rows[2].effective.per_second(), Some(0.5));
}

#[test]
fn routes_to_a_service_show_what_retries_did() {
    let mesh = booksapp();
    for to in ["svc/authors", "deploy/authors", "po/authors-0"] {
        let rows = mesh.routes("deploy/webapp", Some(to)).unwrap();
        let head = &rows[1];
        assert_eq!(head.authority, "authors.booksapp.svc.cluster.local");
        assert_eq!(head.effective.success(), Some(1.0));
        assert_eq!(head.effective.per_second(), Some(0.5));
        assert_eq!(head.actual.success(), Some(0.5));
        assert_eq!(head.actual.per_second(), Some(1.0));
    }
    let refused = mesh.routes("svc/webapp", Some("svc/authors")).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "The service resource type is not supported with 'to' queries"
    );
}

#[test]
fn without_a_profile_there_is_one_default_row() {
    for workload in ["deploy/webapp", "deploy/legacy"] {
        let rows = booksapp().routes(workload, None).unwrap();
        let routes: Vec<_> = rows.iter().map(|row| &*row.route).collect();
        assert_eq!(routes, [DEFAULT_ROUTE]);
    }
}

#[test]
fn connections_that_are_carried_as_bytes_make_rows_and_edges() {
    let to_cache = r#"tcp_open_connections{direction="outbound",peer="dst",authority="cache.booksapp.svc.cluster.local:6379",target_addr="127.0.0.1:4",tls="no_identity",no_tls_reason="loopback",dst_namespace="booksapp",dst_service="authors",dst_deployment="authors",dst_pod="authors-0"} 3
        tcp_read_bytes_total{direction="outbound",peer="dst",dst_namespace="booksapp",dst_service="authors",dst_deployment="authors",dst_pod="authors-0"} 120
        tcp_write_bytes_total{direction="outbound",peer="dst",dst_namespace="booksapp",dst_service="authors",dst_deployment="authors",dst_pod="authors-0"} 60
        tcp_open_connections{direction="outbound",peer="src"} 9"#;
    let mesh = Mesh::new(&[("webapp-0", to_cache)]);
    let service: fn(&mut StatQuery) = |ask| ask.resources = vec!["svc/authors".parse().unwrap()];
    let pod: fn(&mut StatQuery) = |ask| {
        ask.resources = vec!["po/authors-0".parse().unwrap()];
        ask.from = Some(peer("deploy/webapp"));
    };
    let caller: fn(&mut StatQuery) = |ask| ask.to = Some(peer("po/authors-0"));
    for (ask, name) in [(service, "authors"), (pod, "authors-0"), (caller, "webapp")] {
        let rows = mesh.stat(ask).unwrap();
        assert_eq!(names(&rows), [name]);
        let tcp = rows[0].tcp.unwrap();
        assert_eq!(tcp.open, Some(3));
        assert_eq!(tcp.read_per_second(), Some(2.0));
        assert_eq!(tcp.written_per_second(), Some(1.0));
    }
    for (kind, src, dst) in [
        (Kind::Deployment, "webapp", "authors"),
        (Kind::Pod, "webapp-0", "authors-0"),
    ] {
        let edges = mesh.edges(kind);
        let [edge] = &*edges else {
            panic!("{edges:?}");
        };
        assert_eq!((&*edge.src, &*edge.dst), (src, dst));
        assert_eq!(edge.no_tls_reason.as_deref(), Some("loopback"));
    }
}

#[test]
fn edges_say_why_they_are_not_secured() {
    let rows = booksapp().edges(Kind::Deployment);
    let rows: Vec<_> = rows
        .iter()
        .map(|row| (&*row.src, &*row.dst, row.no_tls_reason.as_deref()))
        .collect();
    assert_eq!(
        rows,
        [
            (GATEWAY, "webapp", Some("disabled")),
            ("webapp", "authors", Some("loopback")),
        ]
    );
}

#[test]
fn a_split_has_a_row_for_each_leaf_and_counts_the_requests_to_its_apex_alone() {
    let series = |apex: &str, leaf: &str, class: &str, count: u64| {
        let name = |service| format!("{service}.booksapp.svc.cluster.local:7002");
        let labels = format!(
            "direction=\"outbound\",authority=\"{leaf}\",dst_apex=\"{apex}\",dst_leaf=\"{leaf}\"",
            apex = name(apex),
            leaf = name(leaf)
        );
        format!(
            "response_total{{{labels},classification=\"{class}\"}} {count}\n\
             response_latency_ms_bucket{{{labels},le=\"2\"}} {count}\n"
        )
    };
    let webapp = series("books", "books", "success", 540)
        + &series("books", "errors", "failure", 60)
        + &series("errors", "errors", "failure", 7)
        + &series("authors", "books", "success", 7);
    let traffic = series("books", "books", "success", 60);
    let mesh = Mesh::new(&[("webapp-0", &webapp), ("traffic-0", &traffic)]);
    let rows = |ask: &dyn Fn(&mut StatQuery)| {
        let rows = mesh.stat(|query| {
            query.resources = vec![Resource::all(Kind::TrafficSplit)];
            ask(query);
        })?;
        let rows = rows.into_iter().map(|row| {
            let leaf = row.leaf.unwrap();
            assert_eq!((&*row.name, &*leaf.apex), ("error-split", "books"));
            (
                leaf.leaf,
                leaf.weight,
                row.responses.success(),
                row.responses.per_second(),
                row.latency.is_some(),
            )
        });
        Ok::<_, QueryError>(rows.collect::<Vec<_>>())
    };
    let row = |leaf: &str, weight: &str, success, rps, has_latency| {
        (
            leaf.to_owned(),
            weight.to_owned(),
            success,
            rps,
            has_latency,
        )
    };
    let errors = row("errors", "100m", Some(0.0), Some(1.0), true);
    let idle = row("idle", "0", None, None, false);
    assert_eq!(
        rows(&|_| {}).unwrap(),
        [
            row("books", "900m", Some(1.0), Some(10.0), true),
            errors.clone(),
            idle.clone()
        ]
    );
    let from_webapp = rows(&|query| query.from = Some(peer("deploy/webapp"))).unwrap();
    let books = row("books", "900m", Some(1.0), Some(9.0), true);
    assert_eq!(from_webapp, [books, errors, idle]);

    let none = rows(&|query| query.namespace = Some("other".into()));
    assert_eq!(none.unwrap(), []);
    let named = |name| vec![Resource::named(Kind::TrafficSplit, name)];
    let one = rows(&|query| query.resources = named("error-split"));
    assert_eq!(one.unwrap().len(), 3);
    assert!(rows(&|query| query.resources = named("none")).is_err());
    assert!(rows(&|query| query.to = Some(peer("svc/books"))).is_err());
    assert!(rows(&|query| query.from = Some(peer("ts/error-split"))).is_err());
}

#[test]
fn calls_are_between_workloads_as_callers_count_them() {
    let mesh = booksapp();
    let calls = calls(&mesh.store, mesh.now, MINUTE);
    let names: Vec<_> = calls.iter().map(|call| (&*call.src, &*call.dst)).collect();
    assert_eq!(names, [(GATEWAY, "webapp"), ("webapp", "authors")]);
    let call = &calls[1];
    assert_eq!(
        (call.responses.success(), call.responses.per_second()),
        (Some(0.5), Some(1.0))
    );
    assert_eq!(call.dst_namespace, "booksapp");
}

#[test]
fn a_history_has_every_step_and_only_what_came_in() {
    let mesh = booksapp();
    let step = Duration::from_secs(10);
    let history = history(&mesh.store, mesh.now, MINUTE, step);
    let names: Vec<_> = history.keys().map(|(_, name)| &**name).collect();
    assert_eq!(names, ["authors"]);
    let points = history.values().next().unwrap();
    assert_eq!(points.len(), 6);
    // The one reading covers the whole minute, and counts at its middle.
    assert_eq!((points[3].successes, points[3].failures), (45, 15));
    assert_eq!(points[3].over, step);
    assert_eq!(points[0].total(), 0);
}
