//! Faults on purpose, in the sidecars of clients: exact, visible, and over when they must be.

mod support;

use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, SystemTime},
};
use support::{Mesh, free_port, http_get, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

const PROFILE: &str = "\
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: web.shop.svc.cluster.local, namespace: shop}
spec:
  routes:
  - name: GET /a
    condition: {method: GET, pathRegex: /a}
";

/// A service that answers everything with 200, and a client that calls it all the time.
fn shop(port: u16) -> String {
    let mesh = env!("CARGO_BIN_EXE_mesh");
    format!(
        "namespace: shop\nworkloads:\n  web:\n    command: [{mesh:?}, error-service, --status, \
         \"200\"]\n    port: 8080\n    host_port: {port}\n  caller:\n    command: while true; do \
         curl -s -o /dev/null http://web:8080/a; sleep 0.1; done\n    depends_on: [web]\n"
    )
}

/// One connection to the host port of `web`, which the gateway's sidecar serves.
struct Caller(BufReader<TcpStream>);

impl Caller {
    fn connect(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
        socket.set_nodelay(true).expect("a socket");
        let limit = Some(Duration::from_secs(10));
        socket.set_read_timeout(limit).expect("a socket");
        Self(BufReader::new(socket))
    }

    /// The head of the response, or nothing if the connection breaks.
    fn head(&mut self, path: &str) -> Option<String> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: web:8080\r\n\r\n");
        self.0.get_mut().write_all(request.as_bytes()).ok()?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.0.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let head = head.to_ascii_lowercase();
        let length = head
            .lines()
            .find_map(|it| it.strip_prefix("content-length: "));
        let mut body = vec![0; length.map_or(0, |it| it.parse().expect("a length"))];
        self.0.read_exact(&mut body).ok()?;
        Some(head)
    }

    /// Of 100 requests on the same connection, those with the status 503.
    fn failures(&mut self, path: &str) -> usize {
        let failed = (0..100).filter(|_| {
            let head = self.head(path).expect("the connection stays");
            let is_failure = head.starts_with("http/1.1 503 ");
            assert_eq!(is_failure, head.contains("mesh-reason: injected"), "{head}");
            is_failure
        });
        failed.count()
    }

    /// Returns true if a request fails.
    fn fails(&mut self) -> bool {
        let head = self.head("/a").expect("the connection stays");
        head.starts_with("http/1.1 503 ")
    }
}

/// Ends a stopped process when the test ends.
struct Stopped(u64);

impl Stopped {
    fn new(pid: u64) -> Self {
        signal("-STOP", pid);
        Self(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("-CONT", self.0);
    }
}

fn signal(signal: &str, pid: u64) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "kill {signal} {pid}"
    );
}

fn state(mesh: &Mesh, file: &str) -> Value {
    let path = mesh.folder().join(".mesh/run").join(file);
    let text = fs::read(path).expect("the file is there");
    serde_json::from_slice(&text).expect("it is JSON")
}

fn controller(mesh: &Mesh) -> u64 {
    state(mesh, "controller.json")["pid"]
        .as_u64()
        .expect("a process")
}

/// The success of the first route that has some, as callers see it.
fn success(tables: &Value) -> Option<f64> {
    let tables = tables.as_object()?.values();
    let mut rows = tables.filter_map(Value::as_array).flatten();
    rows.find_map(|row| {
        row["success"]
            .as_f64()
            .or(row["effective_success"].as_f64())
    })
}

/// Adds a fault and returns its number.
fn add(mesh: &Mesh, args: &[&str]) -> String {
    let text = mesh.ok(&[&["fault", "add", "svc/web"], args].concat());
    text.split_whitespace().nth(1).expect("a number").to_owned()
}

#[test]
fn faults_are_injected_where_they_should_be_and_end_in_time() {
    let port = free_port();
    let mesh = Mesh::up_with_files(&shop(port), &[], &[("web.yaml", PROFILE)]);
    wait_for(
        "the service is called",
        PATIENCE,
        || mesh.run(&["stat", "svc/web", "-o", "json"]),
        |out| String::from_utf8_lossy(&out.stdout).contains("\"success\": 1,"),
    );
    mesh.ok(&["apply", "-f", "web.yaml"]);
    let mut caller = Caller::connect(port);
    assert_eq!(caller.failures("/a"), 0);

    // A share of one route, exactly, at once, and on a connection that stays open.
    let route = [
        "--route",
        "GET /a",
        "--percent",
        "10",
        "--status",
        "503",
        "--for",
        "5m",
    ];
    let id = add(&mesh, &route);
    let within_a_second = |what: &str, caller: &mut Caller, holds: &dyn Fn(&mut Caller) -> bool| {
        let start = SystemTime::now();
        while !holds(caller) {
            let elapsed = start.elapsed().unwrap_or_default();
            assert!(elapsed < Duration::from_secs(1), "{what}: {elapsed:?}");
        }
    };
    within_a_second("a fault", &mut caller, &Caller::fails);
    assert_eq!(caller.failures("/a"), 10);
    assert_eq!(caller.failures("/b"), 0);

    // It is seen: in the list, by explain, in metrics and by tap.
    let listed = mesh.ok(&["fault", "list"]);
    assert!(
        listed.contains("web.shop   GET /a   -        10%   status 503"),
        "{listed}"
    );
    let url = "http://web:8080/a";
    let explained = mesh.ok(&["explain", "GET", url, "--from", "deploy/caller"]);
    assert!(
        explained.contains("FAULT         status 503 for 10% of these requests"),
        "{explained}"
    );
    let other = mesh.ok(&["explain", "GET", "http://web:8080/b"]);
    assert!(!other.contains("FAULT  "), "{other}");
    let admin = state(&mesh, "workloads.json")["gateway"]["admin"].clone();
    let metrics = http_get(admin.as_str().expect("an address"), "/metrics");
    for part in [
        "fault_injected_total{",
        "dst=\"web.shop.svc.cluster.local:8080\",fault=\"status\"",
        "error=\"injected\"",
    ] {
        assert!(metrics.contains(part), "{part}:\n{metrics}");
    }
    let mut tap = mesh
        .command(&["tap", "deploy/caller", "-o", "wide"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("mesh taps");
    let lines = BufReader::new(tap.stdout.take().expect("it is piped")).lines();
    let seen = lines
        .map_while(Result::ok)
        .take(400)
        .find(|line| line.contains("injected"));
    let _ = tap.kill();
    let _ = tap.wait();
    assert!(seen.is_some(), "no tapped response is marked as injected");

    // A controller that is replaced keeps it, and its removal ends it at once.
    signal("-KILL", controller(&mesh));
    assert_eq!(caller.failures("/a"), 10);
    wait_for(
        "the next controller",
        PATIENCE,
        || mesh.run(&["fault", "list"]),
        |out| String::from_utf8_lossy(&out.stdout).contains("status 503"),
    );
    assert_eq!(caller.failures("/a"), 10);
    mesh.ok(&["fault", "remove", &id]);
    let all_is_well = |caller: &mut Caller| (0..20).all(|_| !caller.fails());
    within_a_second("no fault", &mut caller, &all_is_well);

    // The requests of one workload, and of no other.
    let id = add(&mesh, &["--status", "503", "--from", "deploy/caller"]);
    let routes = ["routes", "deploy/caller", "--to", "svc/web", "-t", "15s"];
    wait_for(
        "the caller fails",
        PATIENCE,
        || mesh.json(&routes),
        |tables| success(tables) == Some(0.0),
    );
    assert_eq!(caller.failures("/a"), 0);
    mesh.ok(&["fault", "remove", &id]);

    // A delay, and a connection that breaks.
    add(&mesh, &["--delay", "300ms..400ms"]);
    within_a_second("a delay", &mut caller, &|caller| {
        let start = SystemTime::now();
        assert!(!caller.fails());
        start
            .elapsed()
            .is_ok_and(|elapsed| elapsed >= Duration::from_millis(300))
    });
    mesh.ok(&["fault", "remove", "--all"]);
    let id = add(&mesh, &["--reset"]);
    within_a_second("a reset", &mut caller, &|caller| {
        caller.head("/a").is_none()
    });
    mesh.ok(&["fault", "remove", &id]);

    // It ends in time although the controller does not answer any more.
    let mut caller = Caller::connect(port);
    within_a_second("no reset", &mut caller, &|caller| {
        let is_answered = caller.head("/a").is_some();
        if !is_answered {
            *caller = Caller::connect(port);
        }
        is_answered
    });
    add(&mesh, &["--status", "503", "--for", "3s"]);
    within_a_second("a short fault", &mut caller, &Caller::fails);
    let stopped = Stopped::new(controller(&mesh));
    let start = SystemTime::now();
    while caller.fails() {
        let elapsed = start.elapsed().unwrap_or_default();
        assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
    }
    assert_eq!(caller.failures("/a"), 0);
    drop(stopped);

    // What cannot be is refused with the reason.
    for (args, reason) in [
        (&["svc/none", "--reset"][..], "service \"none\" not found"),
        (
            &["web", "--reset", "--route", "GET /c"],
            "has no route \"GET /c\": it has GET /a",
        ),
        (
            &["web", "--reset", "--from", "deploy/none"],
            "\"none\" not found",
        ),
        (&["web", "--reset", "--percent", "0"], "0% is no share"),
        (&["web", "--status", "200"], "the status 200 is no error"),
    ] {
        let refused = mesh.run(&[&["fault", "add"], args].concat());
        let text = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && text.contains(reason),
            "{args:?}: {text}"
        );
    }
    mesh.down();
}
