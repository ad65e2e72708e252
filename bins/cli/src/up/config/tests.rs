use super::*;

fn parse(text: &str) -> Result<Config> {
    Config::parse(text, "mesh.yaml", Path::new("/nowhere/mesh.yaml"))
}

fn error(text: &str) -> String {
    let error = format!("{:#}", parse(text).unwrap_err());
    assert!(!error.contains('\n'), "one paragraph: {error}");
    error
}

#[test]
fn every_key_of_the_file_is_read() {
    let config = parse(
        r#"
namespace: booksapp
build: cargo build
workloads:
  authors:
    command: ["bin/authors", "-v"]
    dir: sub
    env: { FAILURE_RATE: "0.5", RATE: 0.50, ON: true }
    service: authors-svc
    port: 7001
    host_port: 8001
    replicas: 2
    ready: /ping
  webapp:
    command: exec serve
    port: 7000
    listen: 7101
    host_port: false
    depends_on: [authors]
    upstreams:
      BOOKS_URL: "books:7002"
      VOTING: { to: "voting-svc:8080", as: hostport }
  traffic: { command: go }
  grpc:
    command: go
    stdin: false
    ports:
    - { port: 80, name: main }
    - { port: 9090, name: metrics, listen: 9091, host_port: 9092, opaque: true }
    - { port: 9093 }
"#,
    )
    .unwrap();

    let grpc = &config.workloads["grpc"];
    assert_eq!(
        (grpc.port, grpc.port_name.as_deref()),
        (Some(80), Some("main"))
    );
    assert_eq!(grpc.host_port, HostPort::IfFree(80));
    assert!(!grpc.stdin && config.workloads["traffic"].stdin);
    let metrics = ServicePort {
        name: "metrics".to_owned(),
        port: 9090,
        listen: Some(9091),
        host_port: Some(9092),
        opaque: true,
    };
    assert_eq!(grpc.ports[0], metrics);
    assert_eq!(grpc.ports[1].name, "9093");
    assert_eq!(grpc.listens().collect::<Vec<_>>(), [9091]);

    assert_eq!(config.namespace, "booksapp");
    assert_eq!(config.build.as_deref(), Some("cargo build"));
    let authors = &config.workloads["authors"];
    assert_eq!(authors.command, ["bin/authors", "-v"]);
    assert_eq!(authors.dir, Path::new("/nowhere/sub"));
    assert_eq!(authors.env["FAILURE_RATE"], "0.5");
    assert_eq!(authors.env["RATE"], "0.50", "as written");
    assert_eq!(authors.env["ON"], "true");
    assert_eq!(authors.service, "authors-svc");
    assert_eq!(authors.host_port, HostPort::Exactly(8001));
    assert_eq!(authors.replicas, 2);
    assert_eq!(authors.place, "mesh.yaml:6");
    let webapp = &config.workloads["webapp"];
    assert_eq!(webapp.command, ["sh", "-c", "exec serve"]);
    assert_eq!(webapp.service, "webapp");
    assert_eq!(webapp.listen, Some(7101));
    assert_eq!(webapp.host_port, HostPort::None);
    assert_eq!(webapp.depends_on, ["authors"]);
    assert_eq!(webapp.upstreams["BOOKS_URL"].form, Form::Url);
    assert_eq!(webapp.upstreams["VOTING"].to, "voting-svc:8080");
    assert_eq!(webapp.upstreams["VOTING"].form, Form::HostPort);
    assert_eq!(config.workloads["traffic"].host_port, HostPort::None);
}

#[test]
fn a_misspelt_key_is_named_with_its_place_and_what_was_meant() {
    let error = error("workloads:\n  a:\n    comand: x\n");
    assert!(error.contains("mesh.yaml:3"), "{error}");
    assert!(error.contains("comand"), "{error}");
    assert!(error.contains("did you mean `command`?"), "{error}");
}

#[test]
fn a_duplicate_key_is_an_error() {
    let error = error("workloads:\n  a:\n    command: x\n    command: y\n");
    assert!(error.contains("mesh.yaml:4"), "{error}");
    assert!(error.contains("duplicate"), "{error}");
    assert!(error.contains("command"), "{error}");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_place() {
    for (text, expected) in [
        (
            "workloads:\n  a: {port: 1}\n",
            "mesh.yaml:2: workload `a` has no command; add `command: [\"program\", \"argument\"]`",
        ),
        (
            "workloads:\n  a:\n    command: []\n",
            "mesh.yaml:3: workload `a`: the command is empty",
        ),
        (
            "workloads:\n  a: {command: x, port: 1, host_port: 80}\n  b: {command: x, port: 2,\n    host_port: 80}\n",
            "mesh.yaml:4: `host_port` of workload `b` is 80, which is already the `host_port` of workload `a`",
        ),
        (
            "workloads:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: [c]}\n  c: {command: x, depends_on: [a]}\n",
            "mesh.yaml:2: `depends_on` is a circle: a -> b -> c -> a",
        ),
        (
            "workloads:\n  authors: {command: x}\n  b:\n    command: x\n    depends_on: [auhtors]\n",
            "mesh.yaml:5: workload `b` depends on `auhtors`, which is no workload; did you mean `authors`?",
        ),
        (
            "workloads:\n  a: {command: x, port: 1, listen: 2, replicas: 2}\n",
            "mesh.yaml:2: workload `a`: 2 replicas cannot all listen on 2; remove `listen` and let the program take $PORT, or have one replica",
        ),
        (
            "workloads:\n  a: {command: x, ready: /ping}\n",
            "mesh.yaml:2: workload `a`: `ready` needs a `port`",
        ),
        (
            "workloads:\n  a: {command: x, port: 1, ready: ping}\n",
            "mesh.yaml:2: workload `a`: `ready` is a path like /ping, not `ping`",
        ),
        (
            "workloads:\n  a: {command: x, upstreams: {B: 'http://b'}}\n",
            "mesh.yaml:2: workload `a`: upstream B is a service like books:7002, not `http://b`",
        ),
        (
            "workloads:\n  a: {command: x, env: {PORT: 80}}\n",
            "mesh.yaml:2: workload `a`: PORT is given by the mesh; a program that cannot take it says where it listens with `listen: 80`",
        ),
        (
            "workloads:\n  Web_App: {command: x}\n",
            "mesh.yaml:2: the workload `Web_App` cannot be part of a host name: use lower-case letters, digits and dashes, at most 63",
        ),
        (
            "workloads:\n  a: {command: x, service: b}\n",
            "mesh.yaml:2: workload `a`: `service` needs a `port`",
        ),
        (
            "workloads:\n  a: {command: x, port: 1, service: a_svc}\n",
            "mesh.yaml:2: the service `a_svc` cannot be part of a host name: use lower-case letters, digits and dashes, at most 63",
        ),
        (
            "workloads:\n  a: {command: x, port: 1, service: b}\n  b: {command: x, port: 1}\n",
            "mesh.yaml:2: `service` of workload `a` is `b`, which is already that of workload `b`",
        ),
        (
            "workloads:\n  a: {command: x, port: 1, service: c}\n  b: {command: x, port: 1, service: c}\n",
            "mesh.yaml:3: `service` of workload `b` is `c`, which is already that of workload `a`",
        ),
        (
            "manifests: [gone/]\n",
            "mesh.yaml:1: `manifests`: there is no /nowhere/gone/",
        ),
        (
            "workloads:\n  a:\n    command: x\n    port: 80\n    ports:\n    - {port: 81}\n    - {port: 80}\n",
            "mesh.yaml:7: workload `a`: `port` 80 is there already",
        ),
        (
            "workloads:\n  a:\n    command: x\n    ports:\n    - {port: 81, name: m}\n    - {port: 80, name: m}\n",
            "mesh.yaml:6: workload `a`: two ports have the name `m`",
        ),
        (
            "workloads:\n  a:\n    command: x\n    listen: 80\n    ports:\n    - {port: 81}\n",
            "mesh.yaml:6: workload `a`: `ports` beside these keys needs a `port`",
        ),
        (
            "workloads:\n  a:\n    command: x\n    port: 80\n    ports:\n    - {port: 81, name: A_B}\n",
            "mesh.yaml:6: the port name `A_B` cannot be part of a host name: use lower-case letters, digits and dashes, at most 63",
        ),
        (
            "workloads:\n  a:\n    command: x\n    port: 80\n    env: {PORT_M: 1}\n    ports: [{port: 81, name: m}]\n",
            "mesh.yaml:5: workload `a`: PORT_M is given by the mesh; a program that cannot take it says where it listens with `listen`",
        ),
        (
            "workloads:\n  a:\n    command: x\n    port: 80\n    listen: 9\n    ports:\n    - {port: 81, listen: 9}\n",
            "mesh.yaml:7: `listen` of workload `a` is 9, which is already the `listen` of workload `a`",
        ),
        (
            "workloads:\n  a:\n    command: x\n    port: 80\n    ports: [{port: 0}]\n",
            "mesh.yaml:5: workload `a`: `port` is between 1 and 65535",
        ),
        (
            "workloads:\n  a: {command: x, port: 0}\n",
            "mesh.yaml:2: workload `a`: `port` is between 1 and 65535",
        ),
    ] {
        assert_eq!(error(text), expected);
    }
}

#[test]
fn a_value_of_the_wrong_type_is_refused_with_its_place() {
    for (text, expected) in [
        (
            "workloads:\n  a:\n    command: x\n    port: web\n",
            "mesh.yaml:4",
        ),
        (
            "workloads:\n  a:\n    command: x\n    host_port: true\n",
            "mesh.yaml:4",
        ),
        ("workloads: [a]\n", "mesh.yaml:1"),
        (
            "workloads:\n  a:\n    command: x\n    ports:\n    - {prot: 80}\n",
            "mesh.yaml:5",
        ),
        (
            "workloads:\n  a:\n    command: x\n    upstreams: {B: {too: b}}\n",
            "mesh.yaml:4",
        ),
        ("a: [\n", "mesh.yaml:"),
    ] {
        let error = error(text);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_service_may_have_the_name_of_a_workload_that_has_none() {
    parse("workloads:\n  a: {command: x, port: 1, service: b}\n  b: {command: x}\n").unwrap();
    let swapped = "workloads:\n  a: {command: x, port: 1, service: b}\n  \
                   b: {command: x, port: 1, service: a}\n";
    parse(swapped).unwrap();
}
