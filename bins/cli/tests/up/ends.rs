//! Tests of the end of a mesh and of its leftovers.

use super::*;

#[test]
fn a_program_and_all_it_started_end_with_the_lifeline() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    // The child ignores SIGTERM, and leaves the group of its parent.
    let script = "setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait";
    let mut shim = Command::new(env!("CARGO_BIN_EXE_mesh"))
        .args(["shim", "100", "empty", "sh", "-c", script])
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
