//! A controller that dies, is cut off, is slow, talks nonsense or has forgotten everything, with
//! real processes and a wire between them that can be cut: no request fails, and `mesh check` says
//! what is wrong.

mod support;

use serde_json::json;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};
use support::{
    build_example, free_port, http_get,
    steady::{Form, Steady, Target},
    supervisor, wait_for,
    wire::{Mode, Wire},
};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// Requests a second.
const RATE: u32 = 200;
/// Long enough for some hundred of them.
const AWHILE: Duration = Duration::from_secs(1);

#[test]
fn whatever_becomes_of_the_controller_no_request_fails_and_check_says_so() {
    let stale = "caller-0 has had no connection for";
    let mut mesh = Mesh::start();
    let load = Steady::start(RATE, &[mesh.target()]);
    mesh.is_well();

    mesh.controller.kill();
    mesh.says(stale);
    thread::sleep(AWHILE);
    mesh.controller = controller(mesh.folder.path(), mesh.grpc);
    mesh.is_well();

    let other = TempDir::new().expect("a folder");
    let grpc = free_port();
    let _forgetful = controller(other.path(), grpc);
    for (mode, said) in [
        (Mode::Refuse, Some(stale)),
        (Mode::Garbage, Some(stale)),
        (Mode::Slow, None),
        (
            Mode::To(loopback(grpc)),
            Some("caller-0 is about to drop a destination that the controller no longer confirms"),
        ),
        (Mode::Silent, Some(stale)),
    ] {
        println!("{mode:?}");
        mesh.wire.set(mode);
        match said {
            Some(said) => mesh.says(said),
            None => mesh.is_well(),
        }
        thread::sleep(AWHILE);
        mesh.wire.set(Mode::To(loopback(mesh.grpc)));
        mesh.is_well();
    }
    let tally = load.stop();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(tally.gets + tally.posts, tally.sent);
}

/// Two replicas of a program, its caller's sidecar, and the controller at the end of a wire.
struct Mesh {
    folder: TempDir,
    grpc: u16,
    upstream: u16,
    wire: Wire,
    controller: Process,
    _others: Vec<Process>,
}

impl Mesh {
    fn start() -> Self {
        let folder = TempDir::new().expect("a folder");
        let answer = build_example("answer");
        let [grpc, upstream, admin, one, two] = std::array::from_fn(|_| free_port());
        let replicas = [one, two].map(|port| {
            let pod = format!("answer-{port}");
            json!({"pod": pod, "ready": true, "inbound": loopback(port)})
        });
        let caller = json!({"pod": "caller-0", "ready": true, "admin": loopback(admin)});
        let workloads = json!({"generation": 1, "namespace": "shop", "workloads": [
            {"name": "answer", "namespace": "shop", "service_port": 8080, "replicas": replicas},
            {"name": "caller", "namespace": "shop", "replicas": [caller]},
        ]});
        let run = folder.path().join(".mesh/run");
        fs::create_dir_all(&run).expect("a folder");
        fs::write(run.join("workloads.json"), workloads.to_string()).expect("a file");
        let row = supervisor::ready("caller-0", "caller", &loopback(admin).to_string());
        supervisor::serve(&folder.path().join(".mesh"), json!([row]));

        let mut others: Vec<_> = [one, two]
            .map(|port| {
                let mut program = Command::new(&answer);
                program.env("PORT", port.to_string());
                Process::start(program.current_dir(folder.path()))
            })
            .into();
        let controller = controller(folder.path(), grpc);
        let wire = Wire::to(loopback(grpc));
        others.push(Process::start(
            Command::new(env!("CARGO_BIN_EXE_mesh"))
                .args([
                    "proxy",
                    "--lifeline",
                    "--workers",
                    "1",
                    "--namespace",
                    "shop",
                ])
                .args(["--admin", &loopback(admin).to_string()])
                .args(["--upstream", &format!("127.0.0.1:{upstream}=answer:8080")])
                .args(["--control", &wire.addr().to_string()]),
        ));
        for port in [one, two, admin] {
            wait_for(
                "it listens",
                PATIENCE,
                || std::net::TcpStream::connect(loopback(port)).is_ok(),
                |up| *up,
            );
        }
        wait_for(
            "the sidecar has found its service",
            PATIENCE,
            || http_get(&loopback(upstream).to_string(), "/"),
            |answer| answer.contains("GET"),
        );
        Self {
            folder,
            grpc,
            upstream,
            wire,
            controller,
            _others: others,
        }
    }

    fn target(&self) -> Target {
        Target {
            addr: loopback(self.upstream),
            form: Form::Origin,
        }
    }

    fn check(&self) -> String {
        let mut check = Command::new(env!("CARGO_BIN_EXE_mesh"));
        check.args(["check", "-o", "short"]);
        let check = check.current_dir(self.folder.path()).env_remove("MESH_API");
        let output = check.output().expect("mesh runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the check says so.
    fn says(&self, what: &str) {
        wait_for(what, PATIENCE, || self.check(), |text| text.contains(what));
    }

    /// Waits until the check says nothing of the sidecar or the controller.
    fn is_well(&self) {
        let complains = ["caller-0", "controller"];
        wait_for(
            "all is well",
            PATIENCE,
            || self.check(),
            |text| !complains.iter().any(|it| text.contains(it)),
        );
    }
}

fn controller(folder: &Path, grpc: u16) -> Process {
    Process::start(
        Command::new(env!("CARGO_BIN_EXE_mesh"))
            .args(["controller", "--lifeline", "--http", "127.0.0.1:0"])
            .args(["--grpc", &loopback(grpc).to_string()])
            .arg("--state-dir")
            .arg(folder.join(".mesh")),
    )
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// A process that is killed when it is dropped, or whose lifeline ends with this one.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::null());
        Self(command.spawn().expect("it starts"))
    }

    fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
