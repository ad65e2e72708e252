//! A real mesh of real processes in a folder of its own, ended when the test ends.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test uses a part of it, as a module of its own"
)]

pub mod browser;
pub mod load;
pub mod steady;
pub mod supervisor;
pub mod wire;

use serde_json::Value;
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, SystemTime},
};
use tempfile::TempDir;

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is there")
}

/// The `mesh` under test: `MESH_PROGRAM`, or the one that cargo built with this test.
pub fn mesh_program() -> PathBuf {
    let set = std::env::var_os("MESH_PROGRAM");
    set.map_or_else(|| env!("CARGO_BIN_EXE_mesh").into(), PathBuf::from)
}

/// Builds the program `name` of the workspace as `cargo test` builds this test, and returns the
/// folder of programs.
pub fn build(name: &str) -> PathBuf {
    cargo_build(&["--bin", name])
}

/// Builds an example as `cargo test` builds this test, and returns its program.
pub fn build_example(name: &str) -> PathBuf {
    cargo_build(&["--example", name])
        .join("examples")
        .join(name)
}

/// Builds `what` with the features of all tests, and returns the folder of programs.
fn cargo_build(what: &[&str]) -> PathBuf {
    let programs = Path::new(env!("CARGO_BIN_EXE_mesh"))
        .parent()
        .expect("a program is in a folder")
        .to_owned();
    let mut cargo = Command::new(env!("CARGO"));
    // An example makes cargo count features of dev-dependencies: the tests have shared all of it.
    cargo
        .args(["build", "--quiet", "--workspace", "--all-features"])
        .args(["--example", "answer"])
        .args(what)
        .current_dir(root());
    if programs.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(
        cargo.status().expect("cargo runs").success(),
        "cannot build {what:?}"
    );
    programs
}

/// The shipped setup at a livelier rate, with the programs this test was built with.
pub fn bookshop(programs: &Path, port: u16) -> String {
    let shipped = fs::read_to_string(root().join("examples/booksapp/mesh.yaml"))
        .expect("the example is there");
    let start = shipped.find("workloads:").expect("it has workloads");
    let programs = programs.display().to_string();
    let livelier = shipped[start..]
        .replace("target/release", &programs)
        .replace("target/booksapp/", "")
        .replace("dir: ../..", "dir: .")
        .replace("port: 7000", &format!("port: 7000\n    host_port: {port}"))
        .replace("port: 7001", "port: 7001\n    host_port: false")
        .replace("port: 7002", "port: 7002\n    host_port: false")
        + "    env: { TRAFFIC_RATE: \"20\" }\n";
    format!("namespace: booksapp\n{livelier}")
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|socket| socket.local_addr())
        .expect("a port is free")
        .port()
}

/// Waits for `what` to hold, as long as `limit`; panics with the last reading otherwise.
pub fn wait_for<T: std::fmt::Debug>(
    what: &str,
    limit: Duration,
    mut read: impl FnMut() -> T,
    holds: impl Fn(&T) -> bool,
) -> T {
    let started = SystemTime::now();
    loop {
        let reading = read();
        if holds(&reading) {
            return reading;
        }
        let elapsed = started.elapsed().unwrap_or_default();
        assert!(
            elapsed < limit,
            "{what}: not within {limit:?}; last reading: {reading:#?}"
        );
        thread::sleep(Duration::from_millis(250));
    }
}

/// `mesh up` in a folder, in the foreground of nobody.
pub struct Mesh {
    folder: TempDir,
    up: Child,
}

impl Mesh {
    /// Writes `config` as `mesh.yaml` into a new folder and starts it.
    pub fn up(config: &str) -> Self {
        Self::up_with_files(config, &[], &[])
    }

    /// The same with further arguments of `mesh up`, and files beside `mesh.yaml`.
    pub fn up_with_files(config: &str, args: &[&str], files: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        fs::write(folder.path().join("mesh.yaml"), config).expect("mesh.yaml is written");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file is written");
        }
        let log = fs::File::create(folder.path().join("up.log")).expect("a log file");
        let up = Command::new(mesh_program())
            .args(["up", "."])
            .args(args)
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("mesh starts");
        Self { folder, up }
    }

    /// The folder of `mesh.yaml`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Output of `mesh up`.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder().join("up.log")).unwrap_or_default()
    }

    /// Waits until `mesh up` has said that everything is ready.
    pub fn wait_until_ready(&self) {
        wait_for(
            "everything is ready",
            Duration::from_secs(90),
            || self.log(),
            |log| log.contains("everything is ready"),
        );
    }

    /// The process of `mesh up`.
    pub fn process(&mut self) -> &mut Child {
        &mut self.up
    }

    /// A `mesh` command against this mesh.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(mesh_program());
        command
            .args(args)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .env_remove("MESH_API");
        command
    }

    /// Runs `mesh` with `args` and returns whatever came of it.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("mesh runs")
    }

    /// Runs `mesh` with `args`, which must succeed, and returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        self.checked(args, &self.run(args))
    }

    /// As [`ok`](Self::ok), with `input` on standard input.
    pub fn feed(&self, args: &[&str], input: &str) -> String {
        let mut command = self.command(args);
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = child.spawn().expect("mesh runs");
        std::io::Write::write_all(
            &mut child.stdin.take().expect("it is piped"),
            input.as_bytes(),
        )
        .expect("mesh reads");
        self.checked(args, &child.wait_with_output().expect("mesh ends"))
    }

    /// Runs `mesh` with `args` and `-o json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(&[args, &["-o", "json"]].concat());
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("mesh {args:?}: {error}:\n{text}"))
    }

    fn checked(&self, args: &[&str], output: &Output) -> String {
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "mesh {args:?}: {}\n{out}{err}\nmesh up:\n{}",
            output.status,
            self.log()
        );
        out
    }

    /// Ends the mesh as Ctrl-C does and waits for it.
    pub fn down(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Ok(None) = self.up.try_wait() {
            let pid = rustix::process::Pid::from_child(&self.up);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            let _ = self.up.wait();
        }
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.end();
        if thread::panicking() {
            eprintln!("mesh up printed:\n{}", self.log());
        }
    }
}

/// The body of `GET path` at `addr`.
pub fn http_get(addr: &str, path: &str) -> String {
    let mut socket = TcpStream::connect(addr).expect("it listens");
    let request = format!("GET {path} HTTP/1.0\r\nhost: {addr}\r\n\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("it answers");
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body);
    body.unwrap_or_default().to_owned()
}
