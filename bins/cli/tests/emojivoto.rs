//! The workshop's lab on gRPC, as a person does it: some votes fail; give the methods names from
//! their protobuf files, find the one that fails, and watch it fail.

mod support;

use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use support::{Mesh, build, free_port, root, wait_for};

const PATIENCE: Duration = Duration::from_secs(90);
const DOUGHNUT: &str = "/emojivoto.v1.VotingService/VoteDoughnut";
const TO_VOTING: [&str; 6] = [
    "routes",
    "deploy/web",
    "--to",
    "svc/voting-svc",
    "-t",
    "15s",
];

#[test]
fn the_method_that_fails_is_found() {
    let port = free_port();
    let mesh = Mesh::up(&election(&build("emojivoto"), port));

    // (a) The failures show at the service that causes them and at the one that passes them on.
    let votes = |row: &Value, success: std::ops::Range<f64>| {
        row["rps"].as_f64() >= Some(8.0)
            && row["success"]
                .as_f64()
                .is_some_and(|it| success.contains(&it))
    };
    wait_for(
        "about 84 % of the calls of voting succeed",
        PATIENCE,
        || stat(&mesh, "deploy", "voting"),
        |row| votes(row, 0.74..0.93),
    );
    wait_for(
        "about 92 % of the requests of web succeed",
        PATIENCE,
        || stat(&mesh, "deploy", "web"),
        |row| votes(row, 0.86..0.97),
    );
    assert_eq!(stat(&mesh, "deploy", "emoji")["success"], 1.0);
    for (workload, meshed) in [("emoji", "1/1"), ("vote-bot", "1/1"), ("voting-svc", "")] {
        let row = stat(&mesh, "deploy", workload);
        assert_eq!(row["meshed"].as_str().unwrap_or_default(), meshed, "{row}");
    }
    // Services go by names of their own.
    assert_eq!(stat(&mesh, "svc", "emoji-svc")["success"], 1.0);
    assert_eq!(stat(&mesh, "svc", "emoji"), Value::Null);

    // (b) Which method: the protobuf file has their names.
    let document = root().join("examples/emojivoto/proto/voting.proto");
    let document = document.to_str().expect("a plain path");
    let profile = mesh.ok(&[
        "-n",
        "emojivoto",
        "profile",
        "--proto",
        document,
        "voting-svc",
    ]);
    let applied = mesh.feed(&["apply", "-f", "-"], &profile);
    assert_eq!(
        applied.trim(),
        "serviceprofile.linkerd.io/voting-svc.emojivoto.svc.cluster.local created"
    );
    let rows = wait_for(
        "votes for the doughnut fail",
        PATIENCE,
        || routes(&mesh),
        |rows| {
            let doughnut = rows.iter().find(|row| row["route"] == "VoteDoughnut");
            let counted = rows.iter().filter(|row| success(row).is_some()).count();
            doughnut.and_then(success) == Some(0.0) && counted > 40
        },
    );
    // A hundred votes, the results, and what came before there was a profile.
    assert_eq!(rows.len(), 102);
    for row in &rows {
        assert_eq!(row["authority"], "voting-svc", "{row}");
        if !["VoteDoughnut", "[DEFAULT]"].contains(&row["route"].as_str().unwrap_or_default()) {
            assert!(success(row).is_none_or(|rate| rate == 1.0), "{row}");
        }
    }
    let table = mesh.ok(&TO_VOTING);
    let is_doughnut = |line: &&str| line.starts_with("VoteDoughnut");
    let line = table.lines().find(is_doughnut).unwrap_or_default();
    assert!(line.contains(" 0.00%"), "{table}");

    // (c) What it says, on either side of the wire.
    for (args, direction) in [
        (
            &["tap", "deploy/voting", "--path", DOUGHNUT][..],
            "proxy=in",
        ),
        (
            &[
                "tap",
                "deploy/web",
                "--to",
                "svc/voting-svc",
                "--path",
                DOUGHNUT,
            ],
            "proxy=out",
        ),
    ] {
        let lines = tap(&mesh, args);
        let [req, rsp, end] = &lines[..] else {
            panic!("{args:?}: no request to its end: {lines:#?}");
        };
        for (line, expected) in [
            (req, ":method=POST"),
            (req, &format!(":path={DOUGHNUT}")),
            (rsp, ":status=200"),
            (end, "grpc-status=Unknown"),
        ] {
            assert!(
                line.contains(direction) && line.contains(expected),
                "{lines:#?}"
            );
        }
    }

    // (d) What people see of it.
    let (status, error) = vote(port, ":doughnut:");
    assert_eq!(status, "500");
    assert!(error.contains("code = Unknown"), "{error}");
    assert_eq!(vote(port, ":tada:"), ("200".to_owned(), String::new()));

    mesh.down();
}

/// The shipped setup at a livelier rate, with the programs this test was built with.
fn election(programs: &Path, port: u16) -> String {
    let shipped = fs::read_to_string(root().join("examples/emojivoto/mesh.yaml"))
        .expect("the example is there");
    let start = shipped.find("workloads:").expect("it has workloads");
    let livelier = shipped[start..]
        .replace("target/release", &programs.display().to_string())
        .replace("dir: ../..", "dir: .")
        .replace("host_port: 8080", &format!("host_port: {port}"))
        .replace("REQUEST_RATE: \"5\"", "REQUEST_RATE: \"25\"");
    format!("namespace: emojivoto\n{livelier}")
}

fn stat(mesh: &Mesh, kind: &str, name: &str) -> Value {
    let rows = mesh.run(&["stat", kind, "-t", "15s", "-o", "json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap_or_default();
    let mut rows = rows.as_array().into_iter().flatten();
    rows.find(|row| row["name"] == name)
        .cloned()
        .unwrap_or_default()
}

/// The rows of the calls from web to voting.
fn routes(mesh: &Mesh) -> Vec<Value> {
    let tables = mesh.json(&TO_VOTING);
    let tables = tables.as_object().into_iter().flatten();
    let rows = tables.flat_map(|(_, rows)| rows.as_array().into_iter().flatten());
    rows.cloned().collect()
}

fn success(row: &Value) -> Option<f64> {
    let own = row["success"].as_f64();
    own.or_else(|| row["effective_success"].as_f64())
}

/// The lines about one request, from its first to its last.
fn tap(mesh: &Mesh, args: &[&str]) -> Vec<String> {
    let mut tap = mesh.command(args);
    let mut tap = tap.stdout(Stdio::piped()).spawn().expect("mesh taps");
    let output = BufReader::new(tap.stdout.take().expect("it is piped"));
    let mut lines: Vec<String> = Vec::new();
    for line in output.lines().map_while(Result::ok) {
        let id = |line: &str| line.split(' ').nth(1).map(str::to_owned);
        match lines.first() {
            None if line.starts_with("req ") => lines.push(line),
            Some(first) if id(first) == id(&line) => lines.push(line),
            _ => {}
        }
        if lines.last().is_some_and(|line| line.starts_with("end ")) {
            break;
        }
    }
    let _ = tap.kill();
    let _ = tap.wait();
    lines
}

/// Votes as the page does, through the host port: the status, and the body.
fn vote(port: u16, choice: &str) -> (String, String) {
    let url = format!("http://127.0.0.1:{port}/api/vote?choice={choice}");
    let output = Command::new("curl")
        .args(["-s", "-w", "\n%{http_code}", &url])
        .output()
        .expect("curl runs");
    let answer = String::from_utf8_lossy(&output.stdout);
    let (body, status) = answer.rsplit_once('\n').unwrap_or_default();
    (status.to_owned(), body.to_owned())
}
