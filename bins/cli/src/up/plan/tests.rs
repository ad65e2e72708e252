use super::*;
use crate::up::Config;
use std::path::Path;

fn config(text: &str) -> Config {
    Config::parse(text, "mesh.yaml", Path::new("/nowhere/mesh.yaml")).unwrap()
}

fn settings() -> MeshSettings {
    MeshSettings {
        namespace: "shop".into(),
        control: loopback(99),
        no_proxy: Some("corp.example".into()),
    }
}

fn plan(text: &str) -> ReplicaPlan {
    let config = config(text);
    let (name, workload) = config.workloads.first_key_value().unwrap();
    let mut port = 100;
    let ports = ReplicaPorts::choose(workload, || {
        port += 1;
        Ok(port)
    });
    replica(&settings(), name, workload, 0, ports.unwrap())
}

fn env(plan: &ReplicaPlan) -> BTreeMap<&str, &str> {
    let Spec::Program { env, .. } = &plan.program else {
        panic!("not a program");
    };
    env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn args(spec: &Spec) -> String {
    let Spec::Mesh { args, .. } = spec else {
        panic!("not ours");
    };
    args.join(" ")
}

#[test]
fn a_program_is_told_its_port_its_proxy_and_its_upstreams() {
    let plan = plan(
        "workloads:\n  web:\n    command: serve\n    port: 80\n    env: {MODE: test}\n    \
         upstreams: {BOOKS: 'books:7002', VOTING: {to: 'voting:8080', as: hostport}}\n",
    );
    let env = env(&plan);
    assert_eq!(env["PORT"], "101");
    assert_eq!(env["http_proxy"], "http://127.0.0.1:103");
    assert_eq!(env["HTTP_PROXY"], env["http_proxy"]);
    assert_eq!(env["no_proxy"], "localhost,127.0.0.1,::1,corp.example");
    assert_eq!(env["NO_PROXY"], env["no_proxy"]);
    assert_eq!(env["BOOKS"], "http://127.0.0.1:105");
    assert_eq!(env["VOTING"], "127.0.0.1:106");
    assert_eq!(env["MODE"], "test");
    assert_eq!(plan.program_probe, Probe::Accepts(loopback(101)));
    assert_eq!(
        args(&plan.sidecar),
        "proxy --admin 127.0.0.1:104 --control 127.0.0.1:99 --namespace shop \
         --label namespace=shop --label deployment=web --label pod=web-0 --workers 1 \
         --drain-limit 10s --lifeline --outbound 127.0.0.1:103 \
         --inbound 127.0.0.1:102=127.0.0.1:101 --upstream 127.0.0.1:105=books:7002 \
         --upstream 127.0.0.1:106=voting:8080"
    );
}

#[test]
fn a_program_without_a_port_only_calls() {
    let plan = plan("workloads:\n  traffic: {command: go}\n");
    assert!(!env(&plan).contains_key("PORT"));
    assert_eq!(plan.program_probe, Probe::Running);
    assert!(!args(&plan.sidecar).contains("--inbound"));
}

#[test]
fn a_program_that_insists_on_a_port_keeps_it() {
    let plan = plan("workloads:\n  web: {command: go, port: 80, listen: 8888, ready: /healthz}\n");
    assert_eq!(env(&plan)["PORT"], "8888");
    assert_eq!(
        plan.program_probe,
        Probe::Http(loopback(8888), "/healthz".into())
    );
}

#[test]
fn host_ports_are_the_service_ports_where_these_are_free() {
    let config = config(
        "namespace: shop\nworkloads:\n  a: {command: x, port: 7001}\n  \
         b: {command: x, port: 7001}\n  c: {command: x, port: 80}\n  \
         d: {command: x, port: 81, listen: 81}\n  e: {command: x, port: 82, host_port: false}\n  \
         f: {command: x, port: 9, host_port: 90, service: f-svc}\n  g: {command: x, port: 8, host_port: 91}\n",
    );
    let ports = host_ports(&config, |port| port != 80 && port != 91);
    assert_eq!(
        ports.services,
        BTreeMap::from([
            (90, "f-svc.shop.svc.cluster.local:9".to_owned()),
            (7001, "a.shop.svc.cluster.local:7001".to_owned()),
        ])
    );
    assert_eq!(ports.notes.len(), 3, "{:?}", ports.notes);
    assert!(
        ports.notes[0].starts_with("b has no port on the host: 7001 is taken by another workload")
    );
    assert_eq!(
        ports.errors,
        [
            "mesh.yaml:9: the host port 91 of workload `g` is taken by another process; choose \
          another `host_port`, or `false` for none"
        ]
    );
}

#[test]
fn only_what_a_replica_would_notice_restarts_it() {
    let old = config("workloads:\n  a: {command: x, port: 1}\n");
    let old = &old.workloads["a"];
    for (new, restart) in [
        (
            "\n\nworkloads:\n  a: {command: x, port: 1, replicas: 3, host_port: false}\n",
            false,
        ),
        ("workloads:\n  a: {command: other, port: 1}\n", true),
        (
            "workloads:\n  a: {command: x, port: 1, env: {A: b}}\n",
            true,
        ),
        ("workloads:\n  a: {command: x, port: 2}\n", true),
        ("workloads:\n  a: {command: x, port: 1, service: b}\n", true),
    ] {
        let new = config(new);
        assert_eq!(must_restart(old, &new.workloads["a"]), restart);
    }
}
