//! `mesh up` with real processes: what it starts, changes and, above all, leaves behind.

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
fn a_program_and_all_it_started_end_with_the_lifeline() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // The child ignores SIGTERM, and leaves the group of its parent.
    let script = "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait";
    let mut shim = Command::new(env!("CARGO_BIN_EXE_mesh"))
        .args(["shim", "100", "sh", "-c", script])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(ours.try_clone().unwrap()).lines();
    let leader = said.next().unwrap().unwrap();
    let leader = leader.strip_prefix("pid ").unwrap().parse().unwrap();
    let mut printed = BufReader::new(shim.stdout.take().unwrap()).lines();
    let stray = printed.next().unwrap().unwrap().parse().unwrap();
    assert!(is_alive(leader) && is_alive(stray));

    ours.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(!shim.wait().unwrap().success());
    assert_eq!(said.next().unwrap().unwrap(), "signal 15");
    assert!(!is_alive(leader) && !is_alive(stray));
}

#[test]
fn a_program_that_cannot_be_started_is_reported() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let status = Command::new(env!("CARGO_BIN_EXE_mesh"))
        .args(["shim", "100", "/no/such/program"])
        .stdin(Stdio::from(std::os::fd::OwnedFd::from(theirs)))
        .status()
        .unwrap();
    assert_eq!(status.code(), Some(127));
    let said = BufReader::new(ours).lines().next().unwrap().unwrap();
    assert!(said.starts_with("error No such file"), "{said}");
}

#[test]
fn everything_ends_on_ctrl_c_and_nothing_is_left() {
    let mut mesh = Mesh::up(TWO);
    let processes = ready(&mesh);
    assert!(processes.len() >= 7, "{processes:?}");

    let up = Pid::from_child(mesh.process());
    kill_process(up, Signal::INT).unwrap();
    let ended = wait_for(
        "mesh up ends",
        Duration::from_secs(5),
        || mesh.process().try_wait().unwrap(),
        Option::is_some,
    );
    assert!(ended.unwrap().success(), "{}", mesh.log());
    for pid in processes {
        assert!(!is_alive(pid), "{pid} is left");
    }
    let no = mesh.run(&["ps"]);
    assert_eq!(no.status.code(), Some(1));
    assert!(error(&no).contains("mesh up"), "{}", error(&no));
}

#[test]
fn a_second_ctrl_c_kills_what_does_not_end() {
    let mut mesh = Mesh::up(
        r#"
workloads:
  deaf:
    command: trap '' TERM; touch deaf; while :; do sleep 1000; done
"#,
    );
    let processes = ready(&mesh);
    // Until then it can hear.
    wait_for(
        "it is deaf",
        PATIENCE,
        || mesh.folder().join("deaf").exists(),
        |it| *it,
    );
    let up = Pid::from_child(mesh.process());
    kill_process(up, Signal::INT).unwrap();
    wait_for(
        "it stops",
        PATIENCE,
        || mesh.log(),
        |log| log.contains("once more to kill"),
    );
    kill_process(up, Signal::INT).unwrap();
    wait_for(
        "mesh up ends",
        Duration::from_secs(1),
        || mesh.process().try_wait().unwrap(),
        Option::is_some,
    );
    for pid in processes {
        assert!(!is_alive(pid), "{pid} is left");
    }
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
fn sidecars_and_programs_end_when_mesh_up_is_killed() {
    let mut mesh = Mesh::up(TWO);
    let processes = ready(&mesh);
    mesh.process().kill().unwrap();
    mesh.process().wait().unwrap();
    wait_for(
        "everything ends",
        PATIENCE,
        || processes.iter().filter(|pid| is_alive(**pid)).count(),
        |left| *left == 0,
    );
    // The lock went with the process, and the next mesh starts.
    let up = mesh.ok(&["up", "-d"]);
    assert!(up.contains("everything is ready"), "{up}");
    mesh.ok(&["down"]);
}

#[test]
fn the_next_start_ends_what_a_crash_left() {
    let mut mesh = Mesh::up(TWO);
    ready(&mesh);
    let recorded = recorded(mesh.folder());
    let of = |name: &str| -> Vec<i32> {
        let named = recorded.iter().filter(|(other, _)| other == name);
        named.map(|(_, pid)| *pid).collect()
    };
    // Without its shim, nobody is left to end this program.
    let idle = of("idle-0");
    let (shim, program) = (idle[0], idle[1]);
    mesh.process().kill().unwrap();
    kill_process(Pid::from_raw(shim).unwrap(), Signal::KILL).unwrap();
    mesh.process().wait().unwrap();
    if is_alive(program) {
        let up = mesh.ok(&["up", "-d"]);
        assert!(up.contains("everything is ready"), "{up}");
        assert!(!is_alive(program));
        mesh.ok(&["down"]);
    }
}

#[test]
fn a_changed_file_restarts_only_what_changed() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    let before = pids(&mesh);

    let again = mesh.ok(&["up"]);
    assert!(again.contains("nothing changed"), "{again}");
    assert_eq!(pids(&mesh), before);

    let changed = TWO.replace("sleep 1000", "sleep 2000").replace(
        "    host_port: false\n",
        "    host_port: false\n    replicas: 2\n",
    );
    fs::write(mesh.folder().join("mesh.yaml"), changed).unwrap();
    let changed = mesh.ok(&["up"]);
    assert!(changed.contains("idle restarted"), "{changed}");
    assert!(changed.contains("web scaled from 1 to 2"), "{changed}");
    let after = pids(&mesh);
    assert_eq!(after["web-0"], before["web-0"]);
    assert_ne!(after["idle-0"], before["idle-0"]);
    assert!(after["web-1"].is_i64());

    // A file that makes no sense changes nothing.
    fs::write(mesh.folder().join("mesh.yaml"), "workloads: {web: {}}\n").unwrap();
    let no = mesh.run(&["up"]);
    assert_eq!(no.status.code(), Some(1));
    assert!(error(&no).contains("web` has no command"), "{}", error(&no));
    assert_eq!(pids(&mesh), after);

    let restarted = mesh.ok(&["restart", "web"]);
    assert_eq!(restarted, "web restarted\n");
    assert_ne!(pids(&mesh)["web-0"], after["web-0"]);
    let no = mesh.run(&["restart", "wbe"]);
    assert!(error(&no).contains("did you mean `web`?"), "{}", error(&no));
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
fn manifests_are_applied_when_they_changed_and_edits_win_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("web.yaml");
    let manifest = |route: &str| {
        format!(
            "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
             name: web.shop.svc.cluster.local\n  namespace: shop\nspec:\n  routes:\n  \
             - name: {route}\n    condition:\n      pathRegex: /\n"
        )
    };
    fs::write(&profile, manifest("first")).unwrap();
    let config = format!("{TWO}manifests: [{}]\n", profile.display());
    let mesh = Mesh::up(&config);
    ready(&mesh);
    let get = |mesh: &Mesh| mesh.ok(&["get", "sp", "web", "-o", "yaml"]);
    assert!(get(&mesh).contains("name: first"));

    let edited = mesh.feed(&["apply", "-f", "-"], &manifest("edited"));
    assert_eq!(
        edited,
        "serviceprofile.linkerd.io/web.shop.svc.cluster.local configured\n"
    );
    mesh.ok(&["down"]);
    mesh.ok(&["up", "-d"]);
    assert!(get(&mesh).contains("name: edited"), "the file is as it was");

    fs::write(&profile, manifest("second")).unwrap();
    mesh.ok(&["up"]);
    assert!(get(&mesh).contains("name: second"));

    // Of two files, one invalid: neither is applied.
    fs::write(folder.path().join("a.yaml"), manifest("third")).unwrap();
    fs::write(
        &profile,
        manifest("third").replace("pathRegex: /", "pathRegex: ("),
    )
    .unwrap();
    let no = mesh.run(&["apply", "-f", folder.path().to_str().unwrap()]);
    assert_eq!(no.status.code(), Some(1));
    assert!(error(&no).contains("web.yaml:10:"), "{}", error(&no));
    assert!(get(&mesh).contains("name: second"));
    let deleted = mesh.ok(&["delete", "sp/web"]);
    assert_eq!(
        deleted,
        "serviceprofile.linkerd.io/web.shop.svc.cluster.local deleted\n"
    );
    mesh.ok(&["down"]);
}

#[test]
fn an_invalid_edit_is_opened_again_with_the_reason_on_top() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    mesh.feed(
        &["apply", "-f", "-"],
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
         name: web.shop.svc.cluster.local\nspec:\n  routes:\n  - name: a\n    condition:\n      \
         pathRegex: /\n",
    );
    // First it breaks the file; shown the reason, it mends it.
    let editor = mesh.folder().join("editor");
    fs::write(
        &editor,
        "#!/bin/sh\nif grep -q '^#! .*conditon' \"$1\"; then cp \"$1\" shown; \
         sed -i 's/conditon/condition/; s/name: a$/name: b/' \"$1\"; else \
         sed -i 's/condition/conditon/' \"$1\"; fi\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut edit = mesh.command(&["edit", "sp/web"]);
    let edited = edit
        .env("EDITOR", "./editor")
        .env_remove("VISUAL")
        .output()
        .unwrap();
    assert!(edited.status.success(), "{}", error(&edited));
    assert!(String::from_utf8_lossy(&edited.stdout).ends_with("configured\n"));
    let shown = fs::read_to_string(mesh.folder().join("shown")).unwrap();
    assert!(shown.starts_with("#! Please"), "{shown}");
    assert!(
        mesh.ok(&["get", "sp", "web", "-o", "yaml"])
            .contains("name: b")
    );

    let mut edit = mesh.command(&["edit", "sp/web"]);
    let same = edit
        .env("EDITOR", "true")
        .env_remove("VISUAL")
        .output()
        .unwrap();
    assert!(same.status.success() && error(&same).contains("Edit cancelled"));
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

/// Whether a process runs; a zombie does not.
fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().map(str::trim_start);
    let is_zombie = state.is_some_and(|state| state.starts_with('Z'));
    !is_zombie && test_kill_process(Pid::from_raw(pid).unwrap()).is_ok()
}

fn error(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
