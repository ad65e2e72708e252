//! Tests that a mesh under load loses no request when a part of it dies, restarts or changes.

mod support;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    time::{Duration, SystemTime},
};
use support::{
    Mesh, free_port, http_get,
    load::{Load, Tally, Target},
    wait_for,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Limit for a policy change to be in force everywhere.
const SOON: Duration = Duration::from_secs(1);

/// Long enough for some hundred requests, in each state of the mesh.
const AWHILE: Duration = Duration::from_secs(1);

#[test]
fn the_controller_dies_again_and_again_and_no_request_fails() {
    let (mesh, targets) = echoing();
    let load = Load::start(&targets);
    for _ in 0..3 {
        more(&load);
        kill(&mesh, "controller");
        more(&load);
        wait_for(
            "another controller serves",
            PATIENCE,
            || mesh.run(&["version"]).stdout,
            |version| !String::from_utf8_lossy(version).contains("unavailable"),
        );
    }
    // By themselves the sidecars follow the new one.
    apply(&mesh, "after");
    wait_for(
        "every sidecar knows the route",
        PATIENCE,
        || unexpected_clients_of(&mesh, "after"),
        Vec::is_empty,
    );
    nothing_failed(&load.stop());
    mesh.down();
}

#[test]
fn a_profile_reaches_every_sidecar_within_a_second_and_ends_no_connection() {
    let (mesh, targets) = echoing();
    // The sidecars of the replicas are asked, too, whatever the balance would give them.
    let mut targets = targets.to_vec();
    targets.extend(inbound(&mesh).into_iter().map(|addr| Target {
        addr,
        url: "/x".to_owned(),
    }));
    let load = Load::start(&targets);
    more(&load);
    let before = closed(&mesh);
    for n in 0..5 {
        let route = format!("route-{n}");
        apply(&mesh, &route);
        let applied = SystemTime::now();
        loop {
            let late = unexpected_clients_of(&mesh, &route);
            if late.is_empty() {
                break;
            }
            let elapsed = applied.elapsed().unwrap_or_default();
            assert!(elapsed < SOON, "{late:?} after {elapsed:?}");
        }
    }
    assert_eq!(closed(&mesh), before);
    let tally = load.stop();
    nothing_failed(&tally);
    assert_eq!(tally.connections, 4 * targets.len());
    mesh.down();
}

#[test]
fn a_rolling_restart_fails_nothing() {
    let (mesh, targets) = echoing();
    let load = Load::start(&targets);
    more(&load);
    for _ in 0..2 {
        assert_eq!(mesh.ok(&["restart", "echo"]), "echo restarted\n");
        more(&load);
    }
    nothing_failed(&load.stop());
    mesh.down();
}

#[test]
fn a_replica_that_is_killed_takes_only_what_it_may_have_read() {
    let (mesh, targets) = echoing();
    let load = Load::start(&targets);
    for victim in ["echo-0", "echo-0/proxy"] {
        more(&load);
        kill(&mesh, victim);
        wait_for(
            "it is back",
            PATIENCE,
            || mesh.json(&["ps"]),
            |rows| {
                let mut rows = rows.as_array().into_iter().flatten();
                rows.all(|row| row["state"] == "ready")
            },
        );
    }
    more(&load);
    let tally = load.stop();
    // It may have been processed; or the body of a POST has gone to a proxy without an application.
    let honest = |failure: &&String| {
        let reasons: &[_] = match failure.starts_with("POST ") {
            true => &["maybe-processed", "connect-refused"],
            false => &["mesh-reason: reset"],
        };
        reasons.iter().any(|reason| failure.contains(reason))
    };
    let others: Vec<_> = tally.failures.iter().filter(|it| !honest(it)).collect();
    assert!(others.is_empty(), "{others:#?}");
    assert!(tally.failures.len() <= 4 * targets.len(), "{tally:#?}");
    mesh.down();
}

/// A service with two replicas, and the three ways to it: the gateway, an upstream, `http_proxy`.
fn echoing() -> (Mesh, [Target; 3]) {
    let script = support::root().join("bins/cli/tests/support/echo.py");
    let gateway = free_port();
    let mesh = Mesh::up(&format!(
        r#"
namespace: shop
workloads:
  echo:
    command: exec python3 {}
    port: 8080
    host_port: {gateway}
    replicas: 2
  caller:
    command: echo "$ECHO $http_proxy" > ports.tmp; mv ports.tmp ports; exec sleep 1000
    upstreams: {{ ECHO: {{ to: "echo:8080", as: hostport }} }}
    depends_on: [echo]
"#,
        script.display()
    ));
    wait_for(
        "everything is ready",
        PATIENCE,
        || mesh.log(),
        |log| log.contains("everything is ready"),
    );
    let ports = fs::read_to_string(mesh.folder().join("ports")).expect("the caller wrote it");
    let (upstream, proxy) = ports.trim().split_once(' ').expect("two addresses");
    let target = |addr: &str, url: &str| Target {
        addr: addr.trim_start_matches("http://").to_owned(),
        url: url.to_owned(),
    };
    let targets = [
        target(&format!("127.0.0.1:{gateway}"), "/x"),
        target(upstream, "/x"),
        target(proxy, "http://echo:8080/x"),
    ];
    (mesh, targets)
}

/// Waits for more requests, and some time.
fn more(load: &Load) {
    let before = load.tally().sent;
    std::thread::sleep(AWHILE);
    wait_for(
        "the load goes on",
        PATIENCE,
        || load.tally().sent,
        |sent| *sent > before,
    );
}

fn nothing_failed(tally: &Tally) {
    assert!(tally.failures.is_empty(), "{tally:#?}");
}

fn kill(mesh: &Mesh, name: &str) {
    let up = fs::read(mesh.folder().join(".mesh/run/up.json")).expect("the mesh runs");
    let up: Value = serde_json::from_slice(&up).expect("JSON");
    let processes = up["processes"].as_array().into_iter().flatten();
    // Of a program and its shim, the program is the last.
    let process = processes.rev().find(|it| it["name"] == name);
    let pid = process.and_then(|it| i32::try_from(it["pid"].as_i64()?).ok());
    let pid = pid.and_then(Pid::from_raw).expect("it runs");
    kill_process(pid, Signal::KILL).expect("it is ours");
}

/// Applies a profile whose only route is called `route`.
fn apply(mesh: &Mesh, route: &str) {
    let manifest = format!(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
         name: echo.shop.svc.cluster.local\nspec:\n  routes:\n  - name: {route}\n    \
         condition:\n      pathRegex: /x\n"
    );
    mesh.feed(&["apply", "-f", "-"], &manifest);
}

/// The sidecars that have not counted a request by `route`.
fn unexpected_clients_of(mesh: &Mesh, route: &str) -> Vec<String> {
    let label = format!("rt_route=\"{route}\"");
    let all = metrics(mesh).into_iter();
    all.filter(|(_, metrics)| !metrics.contains(&label))
        .map(|(admin, _)| admin)
        .collect()
}

/// Number of closed client connections, by sidecar.
fn closed(mesh: &Mesh) -> Vec<(String, String)> {
    let all = metrics(mesh).into_iter();
    all.map(|(admin, metrics)| {
        let lines = metrics
            .lines()
            .filter(|line| line.starts_with("tcp_close_total") && line.contains("peer=\"src\""));
        (admin, lines.collect())
    })
    .collect()
}

/// Metrics of each sidecar, by admin address.
fn metrics(mesh: &Mesh) -> Vec<(String, String)> {
    let workloads = workloads(mesh);
    let replicas = replicas(&workloads).chain([&workloads["gateway"]]);
    let admins = replicas.filter_map(|it| Some(it["admin"].as_str()?.to_owned()));
    admins
        .map(|admin| {
            let metrics = http_get(&admin, "/metrics");
            (admin, metrics)
        })
        .collect()
}

/// Where the sidecars of replicas take requests.
fn inbound(mesh: &Mesh) -> Vec<String> {
    let addr = |it: &Value| Some(it["inbound"].as_str()?.to_owned());
    replicas(&workloads(mesh)).filter_map(addr).collect()
}

fn workloads(mesh: &Mesh) -> Value {
    let file = fs::read(mesh.folder().join(".mesh/run/workloads.json")).expect("it runs");
    serde_json::from_slice(&file).expect("JSON")
}

fn replicas(workloads: &Value) -> impl Iterator<Item = &Value> {
    let all = workloads["workloads"].as_array().into_iter().flatten();
    all.flat_map(|workload| workload["replicas"].as_array().into_iter().flatten())
}
