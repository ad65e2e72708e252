//! The program itself: what survives when it is killed, and when it ends by itself.

use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
};

/// Starts a controller and waits until it serves.
fn start(state: &Path) -> Child {
    let mut child = Command::new(env!("CARGO_BIN_EXE_mesh-controller"))
        .args([
            "--grpc",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--lifeline",
        ])
        .arg("--state-dir")
        .arg(state)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let serves = |line: &String| line.contains("serving destinations");
    assert!(
        lines
            .by_ref()
            .map_while(Result::ok)
            .any(|line| serves(&line))
    );
    // Whatever it has to say later must find a reader.
    std::thread::spawn(move || lines.count());
    child
}

fn ask(state: &Path, request: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(state.join("controller.sock")).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: \
         {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn manifest(route: &str) -> String {
    format!(
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata: {{name: \
         web.shop.svc.cluster.local}}\nspec: {{routes: [{{name: {route}, condition: {{method: \
         GET}}}}]}}\n"
    )
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path();
    for round in 0..5 {
        let mut child = start(state);
        if round > 0 {
            let kept = ask(state, "GET /api/v1/resources/sp", "");
            assert!(kept.contains(&format!("route-{}", round - 1)), "{kept}");
        }
        let text = manifest(&format!("route-{round}"));
        let answer = ask(state, "PUT /api/v1/resources", &text);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn it_ends_with_its_lifeline_and_leaves_nothing_open() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path());
    assert!(folder.path().join("run/controller.json").exists());
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    for file in ["run/controller.json", "controller.sock"] {
        assert!(!folder.path().join(file).exists(), "{file}");
    }
}

#[test]
fn it_ends_in_order_when_asked_to() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = start(folder.path());
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(!folder.path().join("controller.sock").exists());
}

#[test]
fn wrong_usage_and_a_taken_folder_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = start(folder.path());
    let second = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mesh-controller"))
            .args(args)
            .arg("--state-dir")
            .arg(folder.path())
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, error) = second(&["--http", "0.0.0.0:1"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("this machine only"), "{error}");
    let (code, error) = second(&["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("another controller"), "{error}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(fs::exists(folder.path().join("run")).unwrap());
}
