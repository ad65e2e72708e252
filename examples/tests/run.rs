//! The examples run, and do what they say.

use std::{env, path::PathBuf, process::Command};

/// Runs an example, which `cargo test` has built, and returns the lines of its output.
fn run(example: &str) -> Vec<String> {
    let test = env::current_exe().unwrap();
    let folder: PathBuf = test.ancestors().nth(2).unwrap().join("examples");
    let output = Command::new(folder.join(example)).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    stdout.lines().map(str::to_owned).collect()
}

/// The first number of a line.
fn number(line: &str) -> u32 {
    let mut parts = line.split(|c: char| !c.is_ascii_digit());
    parts
        .find(|part| !part.is_empty())
        .unwrap()
        .parse()
        .unwrap()
}

#[test]
fn a_client_with_the_stack_sees_none_of_the_failures() {
    let lines = run("client");
    assert_eq!(lines[0], "GET /books/{id}: 100 requests, 100% succeeded");
    assert!(lines[1].starts_with("... of "), "{lines:?}");
    assert!((105..=125).contains(&number(&lines[1])), "{lines:?}");
}

#[test]
fn a_server_refuses_what_is_late_and_counts_it() {
    let lines = run("server");
    let expected = [
        "200 OK book 1",
        "504 Gateway Timeout no response head within 50ms",
        "504 Gateway Timeout the caller's deadline passed, 0ns were left",
    ];
    assert_eq!(lines[..3], expected);
    assert!(lines[3].starts_with("req id="), "{lines:?}");
    let failures = lines
        .iter()
        .find(|line| line.contains(r#"classification="failure""#));
    let failures = failures.expect("failures are counted");
    assert!(
        failures.contains(r#"rt_route="GET /books/{id}""#),
        "{failures}"
    );
    assert!(failures.ends_with(" 2"), "{failures}");
}

#[test]
fn a_grpc_client_sees_none_of_the_failures() {
    let lines = run("grpc");
    let expected = [
        "client: 10 calls, 100% succeeded",
        "server: 20 calls, 50% succeeded",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_program_behind_the_sidecar_sees_none_of_the_failures() {
    let lines = run("sidecar");
    for (id, line) in lines[..20].iter().enumerate() {
        assert_eq!(*line, format!("/books/{id}: 200 OK"));
    }
    assert!(
        lines.iter().any(|line| line.contains(":status=503")),
        "{lines:?}"
    );
}

#[test]
fn a_server_refuses_what_is_ambiguous_or_too_large_and_drains() {
    let expected = [
        "HTTP/1.1 200 OK: hello from /books/1",
        "HTTP/1.1 400 Bad Request: more than one Host",
        "drained: true",
    ];
    let lines = run("serve");
    assert_eq!(lines[..2], expected[..2]);
    // hyper finds it in the head, or the server in the request.
    assert!(lines[2].starts_with("HTTP/1.1 431"), "{lines:?}");
    assert!(lines[2].contains("limits.headers"), "{lines:?}");
    assert_eq!(lines[3], expected[2]);
}

#[test]
fn a_pool_hands_back_what_never_left() {
    let lines = run("pool");
    assert_eq!(lines.len(), 5, "{lines:?}");
    for n in [0, 2] {
        assert!(lines[n].starts_with("not sent to 127.0.0.1:"), "{lines:?}");
        assert_eq!(lines[n + 1], r#"b"a book""#);
    }
    assert_eq!(lines[4], "connections: 1");
}
