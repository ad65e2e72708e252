//! `mesh up` with real processes: what it starts, changes and, above all, leaves behind.

mod changes;
mod ends;
mod init;
mod programs;
#[path = "../support/mod.rs"]
mod support;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::{net::UnixStream, process::CommandExt},
    path::Path,
    process::{Command, Output, Stdio},
    time::Duration,
};
use support::{Mesh, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that needs nothing but Python, and a program that only runs.
const TWO: &str = r#"
namespace: shop
workloads:
  web:
    command: exec python3 -m http.server --bind 127.0.0.1 "$PORT"
    port: 80
    host_port: false
  idle:
    command: while :; do sleep 1000; done
    depends_on: [web]
"#;

#[test]
fn a_program_that_cannot_be_started_is_reported() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_mesh"))
        .args(["shim", "100", "empty", "/no/such/program"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(127));
    let said = BufReader::new(ours).lines().next().unwrap().unwrap();
    assert!(said.starts_with("error No such file"), "{said}");
}

#[test]
fn wrong_usage_is_told_from_a_no() {
    let folder = tempfile::tempdir().unwrap();
    let code = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mesh"));
        command
            .args(args)
            .current_dir(&folder)
            .env_remove("MESH_API");
        command.output().unwrap().status.code()
    };
    assert_eq!(code(&["stat", "deploy"]), Some(1));
    for wrong in [
        &["stat"][..],
        &["stat", "deploy", "-t", "0s"],
        &["nonsense"],
        &["profile", "books"],
        &["edit", "sp"],
        &["delete", "sp"],
        &["top", "--once", "x"],
    ] {
        assert_eq!(code(wrong), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_mesh_in_which_nothing_happens_takes_next_to_no_time() {
    let mut mesh = Mesh::up(TWO);
    ready(&mesh);
    let pid = mesh.process().id();
    let ticks = || -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<_> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    // What is measured is what a while costs.
    std::thread::sleep(Duration::from_secs(2));
    let spent = ticks() - before;
    assert!(spent <= 20, "{spent} hundredths of a second in two seconds");
    mesh.down();
}

#[test]
fn a_program_that_ends_is_started_again_and_its_last_words_are_kept() {
    let mesh = Mesh::up(
        "workloads:\n  once:\n    command: test -e done && exec sleep 1000; touch done; echo farewell; exit 3\n",
    );
    wait_for(
        "it runs again",
        PATIENCE,
        || rows(&mesh),
        |rows| rows[0]["restarts"] == 1 && rows[0]["state"] == "ready",
    );
    let log = mesh.log();
    assert!(
        log.contains("once-0 exited with status 3; starting it again in 100 ms"),
        "{log}"
    );
    let logs = mesh.ok(&["logs", "once"]);
    assert!(logs.contains("| farewell"), "{logs}");
}

#[test]
fn the_controller_is_started_again_when_it_dies() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    let pid = |mesh: &Mesh| {
        let controller = recorded(mesh.folder());
        let controller = controller.iter().find(|(name, _)| name == "controller");
        controller.map(|(_, pid)| *pid)
    };
    let first = pid(&mesh).unwrap();
    kill_process(Pid::from_raw(first).unwrap(), Signal::KILL).unwrap();
    wait_for(
        "another one serves",
        PATIENCE,
        || (pid(&mesh), mesh.run(&["version"])),
        |(pid, version)| {
            let version = String::from_utf8_lossy(&version.stdout);
            pid.is_some_and(|pid| pid != first) && version.contains("Server version: 0")
        },
    );
}

#[test]
fn a_command_is_meshed_ad_hoc() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    fs::write(mesh.folder().join("hello.txt"), "hello\n").unwrap();
    let hello = mesh.ok(&["run", "--", "curl", "-s", "http://web/hello.txt"]);
    assert_eq!(hello, "hello\n");

    // It may be a service, which has the name it asks for, if nobody else has it.
    let asks = |service| ["run", "--name=own", "--port=80", service, "--", "sh", "-c"];
    let serve = "python3 -m http.server --bind 127.0.0.1 $PORT > log 2>&1 & \
                 for i in $(seq 200); do curl -sf http://own-svc/hello.txt && break; sleep 0.1; done; \
                 kill $!";
    let hello = mesh.ok(&[&asks("--service=own-svc")[..], &[serve]].concat());
    assert_eq!(hello, "hello\n");
    let taken = mesh.run(&[&asks("--service=web")[..], &["true"]].concat());
    assert!(
        error(&taken).contains("there is a service `web` already"),
        "{}",
        error(&taken)
    );

    let code = mesh.run(&["run", "--", "sh", "-c", "exit 7"]).status;
    assert_eq!(code.code(), Some(7));
    wait_for(
        "it is gone",
        PATIENCE,
        || rows(&mesh).len(),
        |rows| *rows == 2,
    );
}

#[test]
fn what_can_be_seen_to_be_wrong_is_refused_before_anything_starts() {
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    for (config, expected) in [
        (
            "workloads:\n  a: {command: [no-such-program]}\n".to_owned(),
            "mesh.yaml:2: workload `a`: there is no program `no-such-program` in the PATH",
        ),
        (
            format!("workloads:\n  a: {{command: [sleep, '9'], port: 80, host_port: {port}}}\n"),
            "is taken by another process; choose another `host_port`",
        ),
        (
            "build: exit 9\nworkloads: {}\n".to_owned(),
            "the build `exit 9` exited with status 9",
        ),
        (
            "workloads:\n  a: {comand: x}\n".to_owned(),
            "did you mean `command`?",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mesh.yaml"), config).unwrap();
        for detach in [&["up"][..], &["up", "-d"]] {
            let no = Command::new(env!("CARGO_BIN_EXE_mesh"))
                .args(detach)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert_eq!(no.status.code(), Some(1), "{}", error(&no));
            let error = error(&no);
            let error = error.trim_start_matches("building: exit 9\n");
            assert!(
                error.starts_with("Error: ") && error.contains(expected),
                "{error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }
}

#[test]
fn without_a_mesh_commands_say_so() {
    let folder = tempfile::tempdir().unwrap();
    for args in [&["ps"][..], &["get", "sp"], &["stat", "deploy"], &["down"]] {
        let no = Command::new(env!("CARGO_BIN_EXE_mesh"))
            .args(args)
            .current_dir(folder.path())
            .env_remove("MESH_API")
            .output()
            .unwrap();
        assert_eq!(no.status.code(), Some(1), "{args:?}");
        assert!(error(&no).contains("mesh up"), "{}", error(&no));
    }
    let wrong = Command::new(env!("CARGO_BIN_EXE_mesh"))
        .arg("no-such")
        .output();
    assert_eq!(wrong.unwrap().status.code(), Some(2));
}

/// Waits until everything is ready; returns every process of the mesh.
fn ready(mesh: &Mesh) -> Vec<i32> {
    wait_for(
        "everything is ready",
        PATIENCE,
        || mesh.log(),
        |log| log.contains("everything is ready"),
    );
    let recorded = recorded(mesh.folder());
    recorded.into_iter().map(|(_, pid)| pid).collect()
}

fn recorded(folder: &Path) -> Vec<(String, i32)> {
    let up = fs::read(folder.join(".mesh/run/up.json")).unwrap_or_default();
    let up: Value = serde_json::from_slice(&up).unwrap_or_default();
    let processes = up["processes"].as_array().cloned().unwrap_or_default();
    let process = |it: &Value| {
        let pid = it["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
        Some((it["name"].as_str()?.to_owned(), pid?))
    };
    processes.iter().filter_map(process).collect()
}

fn rows(mesh: &Mesh) -> Vec<Value> {
    let output = mesh.run(&["ps", "-o", "json"]);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| vec![Value::Null])
}

fn pids(mesh: &Mesh) -> serde_json::Map<String, Value> {
    let name = |row: &Value| row["name"].as_str().unwrap_or_default().to_owned();
    rows(mesh)
        .into_iter()
        .map(|row| (name(&row), row["pid"].clone()))
        .collect()
}

/// Returns true if a process runs; a zombie does not.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().map(str::trim_start);
    let is_zombie = state.is_some_and(|state| state.starts_with('Z'));
    !is_zombie && test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
