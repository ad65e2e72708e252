//! Canary releases of real programs: promotion, rollback, and a controller that is killed.

mod support;

use serde_json::Value;
use std::{collections::BTreeSet, fs, process::Command, time::Duration};
use support::{
    Mesh, build, free_port, http_get,
    steady::{Steady, answering},
    wait_for,
};

const PATIENCE: Duration = Duration::from_secs(90);

/// A Canary of the workload `name` that is checked every second.
fn canary(name: &str, port: u16, analysis: &str) -> String {
    format!(
        "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {{name: {name}}}\nspec:\n  \
         targetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}\n  \
         service: {{port: {port}}}\n  analysis:\n    interval: 1s\n{analysis}"
    )
}

fn row(mesh: &Mesh, name: &str) -> Value {
    let rows = mesh.json(&["canary", "list"]);
    let mut rows = rows.as_array().into_iter().flatten();
    rows.find(|row| row["name"] == name)
        .cloned()
        .unwrap_or_default()
}

fn kill_controller(mesh: &Mesh) {
    let running = fs::read(mesh.folder().join(".mesh/run/controller.json")).expect("it runs");
    let running: Value = serde_json::from_slice(&running).expect("it is JSON");
    let pid = running["pid"].to_string();
    let killed = Command::new("kill").args(["-KILL", &pid]).status();
    assert!(killed.is_ok_and(|status| status.success()), "kill {pid}");
}

/// Waits until a Canary is in a phase.
fn phase(mesh: &Mesh, name: &str, phase: &str) {
    let what = format!("{name} is {phase}");
    wait_for(
        &what,
        PATIENCE,
        || row(mesh, name),
        |row| row["phase"] == phase,
    );
}

/// Waits until a Canary has moved at least so much weight.
fn weight(mesh: &Mesh, name: &str, least: u64) {
    let what = format!("{name} has weight {least}");
    let moved = |row: &Value| row["weight"].as_u64().is_some_and(|weight| weight >= least);
    wait_for(&what, PATIENCE, || row(mesh, name), moved);
}

#[test]
fn a_promotion_a_rollback_and_a_killed_controller_lose_no_request_and_repeat_no_post() {
    const RATE: u32 = if cfg!(debug_assertions) { 200 } else { 1000 };
    let (mesh, targets) = answering(2);
    let analysis = "    stepWeights: [10, 30, 50]\n    threshold: 3\n";
    let document = canary("answer", 8080, analysis);
    let load = Steady::start(RATE, &targets);
    mesh.feed(&["apply", "-f", "-"], &document);
    phase(&mesh, "answer", "Initialized");

    // The controller is killed while traffic is being shifted; the next one carries on.
    mesh.ok(&["set", "env", "workload/answer", "VERSION=2"]);
    weight(&mesh, "answer", 30);
    kill_controller(&mesh);
    let is_back = || mesh.run(&["canary", "list"]).status.success();
    wait_for("the controller is back", PATIENCE, is_back, |back| *back);
    phase(&mesh, "answer", "Succeeded");
    let text = mesh.ok(&["canary", "describe", "answer"]);
    assert_eq!(
        text.matches("start     canary").count(),
        1,
        "it began anew: {text}"
    );

    // A release that a user aborts.
    mesh.ok(&["set", "env", "answer", "VERSION=3"]);
    weight(&mesh, "answer", 10);
    mesh.ok(&["canary", "abort", "answer"]);
    phase(&mesh, "answer", "Failed");
    assert_eq!(row(&mesh, "answer")["weight"], 0);

    // The Canary ends, and the workload runs as without it, although its controller is killed again.
    mesh.ok(&["delete", "canary", "answer"]);
    kill_controller(&mesh);
    let rows = || mesh.ok(&["ps"]);
    wait_for("the primary is gone", PATIENCE, rows, |rows| {
        !rows.contains("-primary")
    });

    let tally = load.stop();
    println!("{tally:?}");
    assert_eq!(tally.failed(), 0, "{tally:?}");
    let posts = fs::read_to_string(mesh.folder().join("posts")).expect("there were some");
    let once: BTreeSet<_> = posts.lines().collect();
    assert_eq!(once.len() as u64, tally.posts);
    assert_eq!(posts.lines().count(), once.len(), "a POST was sent twice");
    mesh.down();
}

#[test]
fn two_releases_at_once_are_promoted_and_rolled_back_by_what_their_callers_see() {
    let podinfo = build("podinfo").join("podinfo");
    let [good, bad, tester] = [free_port(), free_port(), free_port()];
    let workload = |port: u16| {
        format!(
            "    command: [\"{}\", serve]\n    env: {{VERSION: '1'}}\n    port: 9898\n    \
             host_port: {port}\n    ready: /readyz\n",
            podinfo.display()
        )
    };
    let mesh = Mesh::up(&format!(
        "namespace: test\nworkloads:\n  good:\n{}  bad:\n{}  loadtester:\n    \
         command: [\"{}\", load-tester]\n    port: 80\n    host_port: {tester}\n    ready: /healthz\n",
        workload(good),
        workload(bad),
        podinfo.display()
    ));
    wait_for(
        "it serves",
        PATIENCE,
        || mesh.log(),
        |log| log.contains("everything is ready"),
    );
    let analysis = "    threshold: 2\n    maxWeight: 50\n    stepWeight: 10\n    metrics:\n    \
         - {name: request-success-rate, interval: 10s, threshold: 99}\n    webhooks:\n    \
         - name: acceptance\n      type: pre-rollout\n      url: http://loadtester.test/\n      \
         metadata: {type: bash, cmd: \"curl -sf http://NAME-canary.test:9898/readyz | grep OK\"}\n    \
         - name: load\n      url: http://loadtester/\n      \
         metadata: {cmd: \"curl -s -o /dev/null --rate 100/s 'http://NAME.test:9898/?n=[1-10000]'\"}\n";
    for name in ["good", "bad"] {
        let document = canary(name, 9898, &analysis.replace("NAME", name));
        mesh.feed(&["apply", "-f", "-"], &document);
    }
    phase(&mesh, "good", "Initialized");
    phase(&mesh, "bad", "Initialized");
    mesh.ok(&["set", "env", "good", "VERSION=2"]);
    mesh.ok(&["set", "env", "bad", "VERSION=2", "RANDOM_ERROR=true"]);
    phase(&mesh, "good", "Succeeded");
    phase(&mesh, "bad", "Failed");

    let version = |port: u16| http_get(&format!("127.0.0.1:{port}"), "/version");
    assert!(
        version(good).contains("\"version\":\"2\""),
        "{}",
        version(good)
    );
    assert!(
        version(bad).contains("\"version\":\"1\""),
        "{}",
        version(bad)
    );
    let why = mesh.ok(&["canary", "describe", "bad"]);
    assert!(why.contains("× request-success-rate"), "{why}");
    assert!(why.contains("failed checks threshold reached 2"), "{why}");
    let stat = mesh.ok(&["stat", "deploy"]);
    assert!(stat.contains("good-primary"), "{stat}");
    mesh.down();
}

#[test]
fn a_canary_that_cannot_be_driven_is_refused_with_the_reason() {
    let mesh = Mesh::up("namespace: test\nworkloads: {}\n");
    let is_up = || mesh.run(&["canary", "list"]).status.success();
    wait_for("the controller answers", PATIENCE, is_up, |up| *up);
    let document = |analysis: &str| canary("web", 80, analysis);
    for (analysis, reason) in [
        ("    stepWeight: 0\n", "stepWeight: must be above 0"),
        (
            "    iterations: 2\n    match: [{headers: {x: {exact: y}}}]\n",
            "not supported yet",
        ),
        ("    stepWeight: 5\n    interval: 0s\n", "interval"),
    ] {
        let file = mesh.folder().join("canary.yaml");
        fs::write(&file, document(analysis).replace("    interval: 1s\n", "")).expect("written");
        let refused = mesh.run(&["apply", "-f", "canary.yaml"]);
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(1), "{text}");
        assert!(text.contains(reason), "{text}");
    }
    // One without its workload waits, and says for what.
    mesh.feed(&["apply", "-f", "-"], &document("    stepWeight: 5\n"));
    let message = || row(&mesh, "web")["message"].to_string();
    wait_for("it says why", PATIENCE, message, |it| {
        it.contains("no workload web")
    });
    // Of two for one workload, the first by name drives it.
    let second = document("    stepWeight: 5\n").replacen("{name: web}", "{name: zweb}", 1);
    mesh.feed(&["apply", "-f", "-"], &second);
    let message = || row(&mesh, "zweb")["message"].to_string();
    wait_for("it says whose", PATIENCE, message, |it| {
        it.contains("driven by the canary web")
    });
    mesh.down();
}
