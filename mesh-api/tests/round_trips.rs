//! Every question is read back from its query as it was asked, and every answer from its JSON.

use mesh_api::*;
use serde::{Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt::Debug, time::Duration};

fn query<Q: Question + PartialEq + Debug + Clone>(question: &Q, expected: &str) {
    let text = serde_urlencoded::to_string(question).unwrap();
    assert_eq!(text, expected);
    let read: Q = serde_urlencoded::from_str(&text).unwrap();
    assert_eq!(&read, question, "{text}");
}

fn json<T: Serialize + DeserializeOwned + PartialEq + Debug>(answer: &T) {
    let text = serde_json::to_string(answer).unwrap();
    let read: T = serde_json::from_str(&text).unwrap();
    assert_eq!(&read, answer, "{text}");
}

fn peer(resource: &str, namespace: Option<&str>) -> Peer {
    Peer::new(resource.parse().unwrap(), namespace.map(str::to_owned)).unwrap()
}

#[test]
fn questions_are_read_back() {
    query(&VersionRequest {}, "");
    query(&CheckRequest {}, "");
    let stat = StatRequest {
        resources: vec!["deploy/web".parse().unwrap(), Resource::all(Kind::Pod)],
        namespaces: Namespaces::Named("shop".into()),
        side: Some(Side::To(peer("svc/books", Some("b")))),
        window: "90s".parse().unwrap(),
        unmeshed: true,
    };
    query(
        &stat,
        "resources=deploy%2Fweb%2Cpo&window=1m30s&to=svc%2Fbooks&to_namespace=b&namespace=shop\
         &unmeshed=true",
    );
    let stat = StatRequest {
        namespaces: Namespaces::All,
        side: Some(Side::From(peer("ns/a", None))),
        window: Window::default(),
        unmeshed: false,
        ..stat
    };
    query(
        &stat,
        "resources=deploy%2Fweb%2Cpo&window=1m&from=ns%2Fa&all_namespaces=true",
    );
    let routes = RoutesRequest {
        resource: "deploy/web".parse().unwrap(),
        namespace: None,
        to: Some(peer("svc/books", None)),
        window: Window::default(),
    };
    query(&routes, "resource=deploy%2Fweb&window=1m&to=svc%2Fbooks");
    let edges = EdgesRequest {
        kind: Kind::Service,
        namespaces: Namespaces::Mesh,
    };
    query(&edges, "resource=svc");
    query(&FaultsRequest {}, "");
    query(&CanariesRequest::default(), "");
    let canaries = CanariesRequest {
        namespace: Some("shop".into()),
    };
    query(&canaries, "namespace=shop");
    let apply = ApplyRequest {
        namespace: Some("shop".into()),
        source: Some("a b.yaml".into()),
    };
    let text = serde_urlencoded::to_string(&apply).unwrap();
    assert_eq!(text, "namespace=shop&source=a+b.yaml");
    assert_eq!(serde_urlencoded::from_str(&text), Ok(apply));
    query(
        &TapRequest::new("deploy/web".parse().unwrap()),
        "resource=deploy%2Fweb",
    );
    let tap = TapRequest {
        namespace: Some("shop".into()),
        to: Some(peer("svc/books", None)),
        max_rps: 1.5,
        scheme: Some("http".into()),
        method: Some("GET".into()),
        authority: Some("books:7002".into()),
        path: Some("/a b".into()),
        route: Some("GET /a".into()),
        status: Some("5xx".parse().unwrap()),
        slower_than: Some(Duration::from_millis(300)),
        reason: Some("timeout".into()),
        retried: true,
        headers: true,
        ..TapRequest::new(Resource::all(Kind::Pod))
    };
    query(
        &tap,
        "resource=po&max_rps=1.5&namespace=shop&to=svc%2Fbooks&scheme=http&method=GET\
         &authority=books%3A7002&path=%2Fa+b&route=GET+%2Fa&status=500-599&slower_than=300ms\
         &reason=timeout&retried=true&headers=true",
    );
    let destination = DestinationRequest {
        authority: "books:7002".into(),
        namespace: Some("shop".into()),
        from: Some("deploy/web".parse().unwrap()),
    };
    query(
        &destination,
        "authority=books%3A7002&namespace=shop&from=deploy%2Fweb",
    );
}

#[test]
fn questions_that_make_no_sense_are_refused_with_the_reason() {
    fn refused<Q: Question + Debug>(query: &str) -> String {
        serde_urlencoded::from_str::<Q>(query)
            .unwrap_err()
            .to_string()
    }
    for (error, reason) in [
        (refused::<StatRequest>(""), "friendly name []"),
        (
            refused::<StatRequest>("resources=sts"),
            "friendly name [sts]",
        ),
        (
            refused::<StatRequest>("resources=po&to=po&from=po"),
            "to and from are mutually exclusive",
        ),
        (
            refused::<StatRequest>("resources=po&window=5s"),
            "metrics time window needs to be at least 15s",
        ),
        (
            refused::<StatRequest>("resources=po&to=ns/a&to_namespace=b"),
            "a namespace is in no other namespace",
        ),
        (
            refused::<StatRequest>("resources=po&a=b"),
            "unknown field `a`",
        ),
        (
            refused::<RoutesRequest>("resource=po/"),
            "Invalid resource string",
        ),
        (
            refused::<TapRequest>("resource=po&max_rps=NaN"),
            "max_rps needs",
        ),
        (
            refused::<TapRequest>("resource=po&status=9"),
            "is no HTTP status",
        ),
        (
            refused::<TapRequest>("resource=po&slower_than=9"),
            "is not a duration",
        ),
        (refused::<CanariesRequest>("name=a"), "unknown field `name`"),
        (
            refused::<DestinationRequest>(""),
            "missing field `authority`",
        ),
    ] {
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn answers_are_read_back() {
    json(&WorkloadChange {
        replicas: Some(3),
        revision: Some("v2".to_owned()),
        env: [("GREETING".to_owned(), Some("hello".to_owned()))].into(),
    });
    json(&WorkloadChange::default());
    let addr = "127.0.0.1:8085".parse().unwrap();
    json(&Version {
        version: "1".into(),
        namespace: "shop".into(),
        cluster_domain: "cluster.local".into(),
        pid: 7,
        grpc: addr,
        http: addr,
    });
    let latency = Latency {
        latency_ms_p50: Some(1),
        latency_ms_p95: Some(2),
        latency_ms_p99: None,
    };
    let row = StatRow {
        apex: None,
        leaf: None,
        weight: None,
        namespace: "shop".into(),
        kind: "pod".into(),
        name: "web-0".into(),
        status: Some("Running".into()),
        meshed: Some("1/1".into()),
        success: Some(0.5),
        rps: Some(2.0),
        latency,
        tcp_open_connections: Some(3),
        tcp_read_bytes_rate: Some(0.25),
        tcp_write_bytes_rate: None,
    };
    json(&StatTable {
        kind: Kind::Pod,
        rows: vec![row, StatRow::default()],
    });
    let row = RouteRow {
        route: "GET /".into(),
        authority: "books.booksapp.svc.cluster.local".into(),
        effective: Rate {
            success: Some(1.0),
            rps: Some(2.5),
        },
        ..RouteRow::default()
    };
    assert_eq!(
        serde_json::to_string(&row).unwrap(),
        r#"{"route":"GET /","authority":"books.booksapp.svc.cluster.local","effective_success":1,"effective_rps":2.5,"actual_success":null,"actual_rps":null,"latency_ms_p50":null,"latency_ms_p95":null,"latency_ms_p99":null}"#
    );
    json(&RouteTable {
        resource: "deploy/web".into(),
        rows: vec![row],
    });
    json(&EdgeRow {
        src: "web".into(),
        no_tls_reason: "loopback".into(),
        ..EdgeRow::default()
    });
    json(&Destination {
        split: Some(ProfileRef {
            namespace: "shop".to_owned(),
            name: "canary".to_owned(),
        }),
        faults: Vec::new(),
        split_problems: vec!["late: the older one".to_owned()],
        authority: "books".into(),
        name: Some("books.shop.svc.cluster.local:80".into()),
        hint: Some("the port of books is 7002, not 80".into()),
        profile: serde_json::json!({ "routes": [] }),
        resource: Some(ProfileRef {
            namespace: "shop".into(),
            name: "books".into(),
        }),
        leaves: vec![Leaf {
            authority: "books".into(),
            weight: 1,
            exists: true,
            endpoints: vec![LeafEndpoint {
                addr,
                labels: BTreeMap::from([("pod".into(), "books-0".into())]),
            }],
        }],
        opaque: false,
    });
    json(&CheckReport {
        categories: vec![CheckCategory {
            name: "mesh-data-plane".into(),
            checks: vec![Check {
                description: "workloads exist".into(),
                result: CheckResult::Warning,
                details: vec!["none".into()],
                hint: Some("start them".into()),
            }],
        }],
        sidecars: vec![SidecarAddr {
            pod: "web-0".into(),
            admin: addr,
        }],
    });
    json(&ManifestList {
        items: vec![serde_json::json!({ "kind": "ServiceProfile" })],
        rejected: vec![Rejection {
            source: "a.yaml".into(),
            line: Some(3),
            column: None,
            reason: "no".into(),
        }],
    });
    for result in [Outcome::Created, Outcome::Configured, Outcome::Unchanged] {
        json(&Applied {
            resource: "serviceprofile.linkerd.io/a".into(),
            kind: "ServiceProfile".into(),
            namespace: "shop".into(),
            name: "a".into(),
            result,
            warnings: vec!["odd".into()],
        });
    }
    json(&ErrorBody { error: "no".into() });
}

#[test]
fn faults_are_read_back() {
    for kind in [
        FaultKind::Status(503),
        FaultKind::GrpcStatus(14),
        FaultKind::Delay {
            min_ms: 1,
            max_ms: 2,
        },
        FaultKind::Reset,
    ] {
        json(&Fault {
            id: 7,
            namespace: "shop".into(),
            service: "books".into(),
            route: Some("GET /".into()),
            percent: 12.5,
            kind,
            from: Some("deploy/web".parse().unwrap()),
            ends_ms: 1_764_576_000_000,
        });
        json(&NewFault {
            namespace: None,
            service: "books".into(),
            route: None,
            percent: 100.0,
            kind,
            from: None,
            for_ms: 600_000,
        });
    }
    let unknown = r#"{"service":"a","percent":1,"kind":"reset","for_ms":1,"until":2}"#;
    let error = serde_json::from_str::<NewFault>(unknown).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `until`"),
        "{error}"
    );
}

#[test]
fn canaries_are_read_back() {
    let row = CanaryRow {
        namespace: "shop".into(),
        name: "podinfo".into(),
        target: "podinfo".into(),
        phase: "Progressing".into(),
        weight: 20,
        total_weight: 100,
        failed_checks: 1,
        threshold: 5,
        iterations: 0,
        paused: true,
        no_traffic: true,
        last_transition: 1_764_576_000_000,
        message: "halted".into(),
    };
    json(&row);
    json(&CanaryDetail {
        row,
        interval_seconds: 10.5,
        decisions: vec![CanaryDecision {
            at: 1,
            outcome: "hold".into(),
            weight: 20,
            failed_checks: 1,
            reason: "success rate 98.00 < 99".into(),
            checks: vec![CanaryCheck {
                metric: "request-success-rate".into(),
                value: Some(98.0),
                samples: Some(100),
                min: Some(99.0),
                max: None,
                passed: false,
            }],
        }],
        events: vec![CanaryEvent {
            at: 1,
            warning: true,
            message: "halted".into(),
        }],
    });
    for command in CanaryCommand::ALL {
        json(&command);
        assert_eq!(serde_json::json!(command), command.as_str());
    }
    json(&CanaryCommanded {
        events: vec!["promoted".into()],
    });
}
