//! Tests that a single replica restarts without downtime.

mod support;

use serde_json::Value;
use std::{fs, time::Duration};
use support::{
    Mesh,
    steady::{Steady, answering},
    wait_for,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// The replicas of `name` that are ready.
fn replicas(mesh: &Mesh, name: &str) -> Vec<String> {
    let rows = mesh.run(&["ps", "-o", "json"]).stdout;
    // Nothing, while the mesh begins.
    let rows: Value = serde_json::from_slice(&rows).unwrap_or_default();
    let rows = rows.as_array().into_iter().flatten();
    rows.filter(|row| row["workload"] == name && row["state"] == "ready")
        .filter_map(|row| row["name"].as_str().map(str::to_owned))
        .collect()
}

#[test]
fn a_single_replica_is_replaced_before_it_ends_and_no_request_is_lost() {
    let (mesh, targets) = answering(1);
    let load = Steady::start(100, &targets);
    let more = || {
        let enough = load.tally().sent + 100;
        let sent = || load.tally().sent;
        wait_for("there is load", PATIENCE, sent, |sent| *sent > enough);
    };
    more();
    assert_eq!(replicas(&mesh, "answer"), ["answer-0"]);
    for successor in ["answer-1", "answer-0"] {
        mesh.ok(&["restart", "answer"]);
        assert_eq!(replicas(&mesh, "answer"), [successor]);
        more();
    }
    let tally = load.stop();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    let starts = fs::read_to_string(mesh.folder().join("starts")).expect("there were some");
    assert_eq!(starts.lines().count(), 3);
    mesh.down();
}

#[test]
fn a_replica_whose_successor_does_not_become_ready_goes_on() {
    let config = "workloads:\n  web:\n    \
         command: test -e broken && exit 3; exec python3 -m http.server --bind 127.0.0.1 $PORT\n    \
         port: 80\n    host_port: false\n";
    let mesh = Mesh::up(config);
    let ready = || replicas(&mesh, "web");
    wait_for("it serves", PATIENCE, ready, |web| *web == ["web-0"]);
    fs::write(mesh.folder().join("broken"), "").expect("it is written");
    let no = mesh.run(&["restart", "web"]);
    assert_eq!(no.status.code(), Some(1));
    let said = String::from_utf8_lossy(&no.stderr);
    assert!(said.contains("web-1 did not become ready"), "{said}");
    assert_eq!(replicas(&mesh, "web"), ["web-0"]);

    fs::remove_file(mesh.folder().join("broken")).expect("it was there");
    mesh.ok(&["restart", "web"]);
    assert_eq!(replicas(&mesh, "web"), ["web-1"]);

    // Nor is a change forgotten that did not come into force.
    fs::write(mesh.folder().join("broken"), "").expect("it is written");
    let changed = config.replace("exit 3", "exit 4");
    fs::write(mesh.folder().join("mesh.yaml"), changed).expect("it is written");
    assert_eq!(mesh.run(&["up"]).status.code(), Some(1));
    fs::remove_file(mesh.folder().join("broken")).expect("it was there");
    let again = mesh.ok(&["up"]);
    assert!(again.contains("web restarted"), "{again}");
    assert!(mesh.ok(&["up"]).contains("nothing changed"));
    mesh.down();
}

#[test]
fn a_program_that_has_a_port_of_its_own_ends_before_its_successor_begins() {
    let port = support::free_port();
    let mesh = Mesh::up(&format!(
        "workloads:\n  web:\n    \
         command: exec python3 -m http.server --bind 127.0.0.1 {port}\n    \
         port: 80\n    listen: {port}\n    host_port: false\n",
    ));
    let ready = || replicas(&mesh, "web");
    wait_for("it serves", PATIENCE, ready, |web| *web == ["web-0"]);
    mesh.ok(&["restart", "web"]);
    assert_eq!(replicas(&mesh, "web"), ["web-0"]);
    mesh.down();
}
