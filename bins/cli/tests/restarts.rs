//! Rolling restarts at a steady rate of requests, none of which may fail or be processed twice.
//!
//! `MESH_RESTARTS` and `MESH_RATE` make it longer and harder: see `cargo xtask soak --restarts N`.

mod support;

use std::{collections::BTreeSet, env, fs, net::SocketAddr, time::Duration};
use support::{
    Mesh, cargo_build, free_port,
    steady::{Form, Steady, Target},
    wait_for,
};

const PATIENCE: Duration = Duration::from_secs(60);
/// Of the service that is restarted.
const REPLICAS: u64 = 5;

/// Requests a second; without optimisation, what two busy cores bear with ease.
const RATE: u64 = if cfg!(debug_assertions) { 500 } else { 2000 };

#[test]
fn rolling_restarts_at_a_steady_rate_lose_no_request_and_repeat_no_post() {
    let restarts = number("MESH_RESTARTS", 30).next_multiple_of(REPLICAS);
    let rate = number("MESH_RATE", RATE);
    let (mesh, targets) = answering();
    let load = Steady::start(u32::try_from(rate).expect("a rate"), &targets);
    std::thread::sleep(Duration::from_secs(2));
    for round in 1..=restarts / REPLICAS {
        mesh.ok(&["restart", "answer"]);
        let tally = load.tally();
        println!("{} restarts: {tally:?}", round * REPLICAS);
    }
    std::thread::sleep(Duration::from_secs(1));
    let tally = load.stop();
    println!("{tally:?}");

    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(tally.gets + tally.posts, tally.sent);
    assert!(tally.rate() > 0.9 * rate as f64, "the load was not steady");
    let starts = fs::read_to_string(mesh.folder().join("starts")).expect("there were some");
    assert_eq!(starts.lines().count() as u64, REPLICAS + restarts);
    let posts = fs::read_to_string(mesh.folder().join("posts")).expect("there were some");
    let once: BTreeSet<_> = posts.lines().collect();
    assert_eq!(once.len() as u64, tally.posts);
    assert_eq!(posts.lines().count(), once.len(), "a POST was sent twice");
    mesh.down();
}

/// A service of several replicas, and four ways to it.
fn answering() -> (Mesh, [Target; 4]) {
    let programs = cargo_build(&["--package", "mesh-cli", "--example", "answer"]);
    let gateway = free_port();
    let mesh = Mesh::up(&format!(
        r#"
namespace: shop
workloads:
  answer:
    command: exec {}
    port: 8080
    host_port: {gateway}
    replicas: {REPLICAS}
  caller:
    command: echo "$ANSWER $http_proxy" > ports.tmp; mv ports.tmp ports; exec sleep 100000
    upstreams: {{ ANSWER: {{ to: "answer:8080", as: hostport }} }}
    depends_on: [answer]
"#,
        programs.join("examples/answer").display()
    ));
    wait_for(
        "everything is ready",
        PATIENCE,
        || mesh.log(),
        |log| log.contains("everything is ready"),
    );
    let ports = fs::read_to_string(mesh.folder().join("ports")).expect("the caller wrote it");
    let (upstream, proxy) = ports.trim().split_once(' ').expect("two addresses");
    let addr = |text: &str| -> SocketAddr {
        let text = text.trim_start_matches("http://");
        text.parse().expect("an address")
    };
    let gateway = SocketAddr::from(([127, 0, 0, 1], gateway));
    let targets = [
        (gateway, Form::Origin),
        (gateway, Form::Http2),
        (addr(upstream), Form::Origin),
        (addr(proxy), Form::Absolute),
    ];
    (mesh, targets.map(|(addr, form)| Target { addr, form }))
}

fn number(name: &str, default: u64) -> u64 {
    let set = env::var(name).ok();
    set.map_or(default, |text| text.parse().expect("a number"))
}
