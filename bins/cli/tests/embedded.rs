//! `examples/embedded.rs` in a real mesh: a program without a sidecar that is called by others,
//! calls others, is seen in every table, follows what is applied, and is gone when it ends.

mod support;

use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    time::Duration,
};
use support::{Mesh, build_example, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// `front` is nobody yet when its caller begins.
const CONFIG: &str = r#"
namespace: shop
workloads:
  web:
    command: exec python3 -m http.server --bind 127.0.0.1 "$PORT"
    port: 80
    host_port: false
  caller:
    command: while sleep 0.05; do curl -s -o /dev/null http://front:8080/; done
"#;

#[test]
fn a_program_without_a_sidecar_is_a_workload_like_any_other() {
    let example = build_example("embedded");
    let mesh = Mesh::up(CONFIG);
    wait_for(
        "the mesh runs",
        PATIENCE,
        || mesh.run(&["stat", "deploy/web"]).status.success(),
        |up| *up,
    );
    let state = mesh.folder().join(".mesh/run/controller.json");
    let state = std::fs::read_to_string(state).expect("the controller says where it is");
    let state: Value = serde_json::from_str(&state).expect("it is JSON");
    let controller = state["grpc"].as_str().expect("an address");
    let mut front = Program::start(Command::new(example).args([controller, "web:80"]));
    assert_eq!(
        front.line(),
        "registered as front-0 of namespace shop",
        "the controller knows it"
    );

    // Others call it by its name, and it calls others by theirs.
    let served = |rows: &Vec<Value>| {
        let row = rows.first();
        row.is_some_and(|row| row["success"] == 1.0 && row["rps"].as_f64() > Some(1.0))
    };
    let front_row = || rows(&mesh, &["stat", "deploy/front"]);
    let row = wait_for("front is called", PATIENCE, front_row, served);
    assert_eq!(row[0]["meshed"], "1/1");
    assert!(row[0]["latency_ms_p99"].is_number(), "{row:?}");
    let to_web = || rows(&mesh, &["stat", "deploy/front", "--to", "svc/web"]);
    wait_for("front calls web", PATIENCE, to_web, served);
    let by_caller = || rows(&mesh, &["stat", "deploy/caller", "--to", "deploy/front"]);
    wait_for(
        "the caller's sidecar knows front",
        PATIENCE,
        by_caller,
        served,
    );
    let edges = mesh.json(&["edges", "deploy"]);
    for (src, dst) in [("caller", "front"), ("front", "web")] {
        let mut all = edges.as_array().expect("a list").iter();
        assert!(
            all.any(|edge| edge["src"] == src && edge["dst"] == dst),
            "{src} -> {dst}: {edges}"
        );
    }
    let listed = mesh.ok(&["stat", "deploy"]);
    assert!(
        listed.lines().any(|line| line.starts_with("front ")),
        "{listed}"
    );
    let check = mesh.ok(&["check"]);
    assert!(!check.contains('×'), "{check}");

    // There is nobody who could be asked to tap it, and that is said.
    let tap = mesh.run(&["tap", "deploy/front"]);
    let said = String::from_utf8_lossy(&tap.stderr);
    assert!(
        said.contains("deployment/front has no sidecar to tap"),
        "{said}"
    );

    // Profiles reach it while it runs: its own routes, and those of what it calls.
    for service in ["front", "web"] {
        let manifest = format!(
            "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {{name: \
             {service}.shop.svc.cluster.local}}\nspec:\n  routes:\n  - name: the {service} page\n    \
             condition: {{method: GET, pathRegex: /}}\n"
        );
        mesh.feed(&["apply", "-f", "-"], &manifest);
    }
    for (query, route) in [
        (&["routes", "deploy/front"][..], "the front page"),
        (
            &["routes", "deploy/front", "--to", "svc/web"],
            "the web page",
        ),
    ] {
        let seen = |row: &Value| {
            let rps = row["rps"].as_f64().or(row["effective_rps"].as_f64());
            rps > Some(0.0)
        };
        wait_for(route, PATIENCE, || self::route(&mesh, query, route), seen);
    }

    // When it ends, it is gone.
    front.interrupt();
    let listed = mesh.ok(&["stat", "deploy"]);
    assert!(!listed.contains("front"), "{listed}");
    mesh.down();
}

/// The program, killed if the test fails.
struct Program {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the example runs");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        Self { child, out }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("it prints");
        line.trim_end().to_owned()
    }

    /// Ends it as Ctrl-C does.
    fn interrupt(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
        assert!(self.child.wait().expect("it ends").success());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rows(mesh: &Mesh, args: &[&str]) -> Vec<Value> {
    let output = mesh.run(&[args, &["-t", "15s", "-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}

/// The row of a route, in whichever table it is.
fn route(mesh: &Mesh, query: &[&str], name: &str) -> Value {
    let tables = mesh.json(&[query, &["-t", "15s"]].concat());
    let tables = tables.as_object().into_iter().flatten();
    let mut rows = tables.flat_map(|(_, rows)| rows.as_array().into_iter().flatten());
    let row = rows.find(|row| row["route"] == name);
    row.cloned().unwrap_or_default()
}
