//! Programs that know nothing of a mesh, each in a network namespace of its own: what they call by
//! plain name and port is routed, retried and counted all the same.
//!
//! Needs root, `ip`, `iptables` and a kernel that translates addresses; says so and passes
//! elsewhere.

mod support;

use serde_json::Value;
use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};
use support::{Mesh, free_port, http_get, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

/// Answers `/flaky` with 503 every fourth time, so that only retries make it a success.
const BOOKS: &str = r#"
import http.server, os
class Books(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls = 0
    def do_GET(self):
        Books.calls += 1
        failed = self.path == "/flaky" and Books.calls % 4 == 1
        body = b"a book"
        self.send_response(503 if failed else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
http.server.ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Books).serve_forever()
"#;

/// Speaks first, then repeats what it hears.
const MAIL: &str = r#"
import os, socketserver
class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 hello\r\n")
        self.wfile.write(self.rfile.readline())
socketserver.ThreadingTCPServer(("0.0.0.0", int(os.environ["PORT"])), Mail).serve_forever()
"#;

/// Calls both by name, over each family of addresses, until it is stopped.
const CALLER: &str = r#"
import os, socket, time, http.client
proxies = [name for name in os.environ if name.lower() == "http_proxy" and os.environ[name]]
print("proxies", proxies, flush=True)
def connect(name, port, family):
    addr = socket.getaddrinfo(name, port, family, socket.SOCK_STREAM)[0][4]
    return socket.create_connection(addr[:2], 10)
def get(name, family):
    call = http.client.HTTPConnection(name, 7002)
    call.sock = connect(name, 7002, family)
    call.request("GET", "/flaky")
    answer = call.getresponse()
    answer.read()
    return answer.status
def mail(name, family):
    sock = connect(name, 2525, family)
    file = sock.makefile("rwb")
    banner = file.readline().strip()
    file.write(b"EHLO me\r\n")
    file.flush()
    return (banner + b" / " + file.readline().strip()).decode()
while True:
    for family, word in [(socket.AF_INET, "v4"), (socket.AF_INET6, "v6")]:
        for name in ["books", "books.shop.svc.cluster.local"]:
            try: print(word, name, get(name, family), flush=True)
            except OSError as error: print(word, name, "error", error, flush=True)
        for name in ["mail", "undeclared"]:
            try: print(word, name, mail(name, family), flush=True)
            except OSError as error: print(word, name, "error", error, flush=True)
    time.sleep(0.1)
"#;

const PROFILE: &str = r#"
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata: {name: books.shop.svc.cluster.local, namespace: shop}
spec:
  routes:
  - name: GET /flaky
    condition: {method: GET, pathRegex: /flaky}
    isRetryable: true
"#;

#[test]
fn programs_that_know_of_no_mesh_are_routed_retried_and_counted() {
    let Some(families) = families() else { return };
    let host_port = free_port();
    let mesh = up(host_port);

    for family in families {
        for call in [
            format!("{family} books 200"),
            format!("{family} books.shop.svc.cluster.local 200"),
            format!("{family} mail 220 hello / EHLO me"),
            format!("{family} undeclared 220 hello / EHLO me"),
        ] {
            said(&mesh, &call);
        }
    }
    said(&mesh, "proxies []");
    let log = mesh.log();
    assert!(!log.contains(" 503") && !log.contains("error"), "{log}");

    wait_for(
        "the calls are counted, and a quarter of the attempts fail",
        PATIENCE,
        || routes(&mesh),
        |rows| {
            let flaky = rows.iter().find(|row| row["route"] == "GET /flaky");
            flaky.is_some_and(|row| {
                let rate = |key: &str| row[key].as_f64().unwrap_or(-1.0);
                rate("effective_success") == 1.0 && (0.5..0.9).contains(&rate("actual_success"))
            })
        },
    );
    let stat = mesh.ok(&["-n", "shop", "stat", "deploy"]);
    assert!(stat.contains("books"), "{stat}");
    // From this machine, through the gateway.
    assert_eq!(http_get(&format!("127.0.0.1:{host_port}"), "/"), "a book");

    let sidecar = process(&mesh, "caller-0/proxy");
    let status = fs::read_to_string(format!("/proc/{sidecar}/status")).expect("it runs");
    assert!(status.contains("Uid:\t2102\t2102\t2102\t2102"), "{status}");
    mesh.down();
}

/// Serves two ports that the file names, on `::1` if it can, and one that it does not.
const PORTS: &str = r#"
import http.server, os, socket, socketserver, threading
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = str(self.server.server_address[1]).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args): pass
class Raw(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(b"raw\n")
has_v6 = os.path.exists("/proc/net/if_inet6")
host = "::1" if has_v6 else "127.0.0.1"
class WebServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if has_v6 else socket.AF_INET
class RawServer(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6 if has_v6 else socket.AF_INET
raw = RawServer((host, int(os.environ["PORT_RAW"])), Raw)
web = WebServer((host, int(os.environ["PORT"])), Web)
other = WebServer((host, 9999), Web)
for server in [raw, other]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
web.serve_forever()
"#;

/// Calls each of those ports until it is stopped.
const CALL_PORTS: &str = r#"
import socket, time, urllib.request
while True:
    for url in ["http://web/", "http://web-0:9999/"]:
        try: print(url, urllib.request.urlopen(url, timeout=10).read().decode(), flush=True)
        except OSError as error: print(url, "error", error, flush=True)
    try: print("web:7", socket.create_connection(("web", 7), 10).makefile().readline(), flush=True)
    except OSError as error: print("web:7", "error", error, flush=True)
    time.sleep(0.1)
"#;

#[test]
fn all_ports_of_a_program_are_called_as_in_a_pod() {
    if families().is_none() {
        return;
    }
    let config = format!(
        "namespace: shop\nworkloads:\n  \
         web:\n    command: [python3, -c, {ports}]\n    ports:\n    \
         - {{port: 80, listen: 8080, host_port: false}}\n    \
         - {{name: raw, port: 7, listen: 7777, opaque: true}}\n  \
         caller: {{command: [python3, -c, {caller}], depends_on: [web]}}\n",
        ports = quoted(PORTS),
        caller = quoted(CALL_PORTS),
    );
    let mesh = Mesh::up_with_files(&config, &["--transparent"], &[]);
    said(&mesh, "http://web/ 8080");
    said(&mesh, "web:7 raw");
    said(&mesh, "http://web-0:9999/ 9999");
    let log = mesh.log();
    let mut lines = log.lines().filter(|line| line.starts_with("caller"));
    assert!(lines.all(|line| !line.contains("error")), "{log}");
    mesh.down();
}

/// Greets as the mail server does until it is called once, on the port of its environment.
const GREETER: &str = r#"
import os, socket
server = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
print("proxies", [name for name in os.environ if name.lower() == "http_proxy" and os.environ[name]])
while True:
    caller, _ = server.accept()
    # The readiness probe leaves without a word.
    try:
        caller.sendall(b"220 ad hoc\r\n")
        if caller.recv(100).startswith(b"QUIT"): break
    except OSError: pass
    caller.close()
"#;

#[test]
fn a_command_is_meshed_in_a_network_as_a_replica_has() {
    if families().is_none() {
        return;
    }
    let mesh = up(free_port());
    said(&mesh, "everything is ready");
    let call = "import socket, sys\n\
        sock = socket.create_connection((sys.argv[1], 2525), 10)\n\
        print(sock.makefile().readline().strip())\n\
        sock.sendall(b'QUIT\\r\\n')\n";
    let run = |more: &[&str]| mesh.ok(&[&["run"][..], more].concat());
    assert_eq!(run(&["--", "python3", "-c", call, "mail"]), "220 hello\n");
    assert_eq!(run(&["--", "curl", "-sS", "http://books:7002/"]), "a book");
    let no = mesh.run(&["run", "--", "sh", "-c", "exit 7"]);
    assert_eq!(no.status.code(), Some(7));

    // One that serves is called by another.
    let greeter = [
        "run",
        "--name=own",
        "--port=2525",
        "--",
        "python3",
        "-c",
        GREETER,
    ];
    let greeter = mesh.command(&greeter).stdout(Stdio::piped()).spawn();
    let greeter = greeter.expect("mesh runs");
    wait_for(
        "it is ready",
        PATIENCE,
        || mesh.json(&["ps"]),
        |rows| {
            let mut rows = rows.as_array().into_iter().flatten();
            rows.any(|row| row["workload"] == "own" && row["state"] == "ready")
        },
    );
    assert_eq!(run(&["--", "python3", "-c", call, "own"]), "220 ad hoc\n");
    let output = greeter.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), "proxies []\n");
    mesh.down();
}

#[test]
fn a_replaced_replica_gets_a_network_of_its_own_and_a_killed_mesh_leaves_none() {
    if families().is_none() {
        return;
    }
    let mut mesh = up(free_port());
    said(&mesh, "v4 books 200");
    mesh.ok(&["restart", "books"]);
    let calls = mesh.log().lines().count();
    wait_for(
        "the caller goes on",
        PATIENCE,
        || mesh.log(),
        |log| {
            log.lines()
                .skip(calls)
                .any(|line| line.contains("v4 books 200"))
        },
    );

    let link = link(&mesh);
    assert!(links().contains(&link), "no {link} in {}", links());
    let sidecar = process(&mesh, "caller-0/proxy");
    mesh.process().kill().expect("mesh up is killed");
    wait_for(
        "the networks are gone",
        PATIENCE,
        || {
            (
                links(),
                fs::exists(format!("/proc/{sidecar}")).unwrap_or(true),
            )
        },
        |(links, runs)| !links.contains(&link) && !runs,
    );
}

#[test]
fn without_root_it_says_what_it_needs() {
    if !rustix::process::geteuid().is_root() {
        mesh_skips::skip("only root can become somebody else");
        return;
    }
    // In the program's folder, others might not be allowed to look.
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join("mesh.yaml"), "workloads: {}\n").expect("it is written");
    let output = Command::new("setpriv")
        .args(["--bounding-set=-all", "--inh-caps=-all", "--reuid=65534"])
        .args(["--clear-groups", "--", "/proc/self/fd/0"])
        .args(["up", "--transparent"])
        .arg(folder.path())
        .stdin(fs::File::open(env!("CARGO_BIN_EXE_mesh")).expect("it is there"))
        .output()
        .expect("setpriv runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(said.contains("needs root"), "{said}");
}

/// The mesh of all three.
fn up(host_port: u16) -> Mesh {
    let config = format!(
        "namespace: shop\nworkloads:\n  \
         books: {{command: [python3, -c, {books}], port: 7002, host_port: {host_port}, ready: /}}\n  \
         mail: {{command: [python3, -c, {mail}], port: 2525, opaque: true, host_port: false}}\n  \
         undeclared: {{command: [python3, -c, {mail}], port: 2525, host_port: false}}\n  \
         caller: {{command: [python3, -c, {caller}], depends_on: [books, mail, undeclared]}}\n\
         manifests: [profile.yaml]\n",
        books = quoted(BOOKS),
        mail = quoted(MAIL),
        caller = quoted(CALLER),
    );
    Mesh::up_with_files(&config, &["--transparent"], &[("profile.yaml", PROFILE)])
}

/// As YAML has it on one line.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The families of addresses that this machine can redirect; none if it cannot at all.
fn families() -> Option<Vec<&'static str>> {
    let can = |iptables: &str| {
        let check = [
            iptables, "-t", "nat", "-A", "OUTPUT", "-p", "tcp", "-j", "REDIRECT",
        ];
        let status = Command::new("unshare").arg("--net").args(check).status();
        status.is_ok_and(|status| status.success())
    };
    if !rustix::process::geteuid().is_root() || !can("iptables") {
        mesh_skips::skip("needs root, iptables and a kernel that translates addresses");
        return None;
    }
    let mut families = vec!["v4"];
    if fs::exists("/proc/net/if_inet6").unwrap_or(false) && can("ip6tables") {
        families.push("v6");
    } else {
        mesh_skips::skip("IPv6, which this machine does not redirect");
    }
    Some(families)
}

fn said(mesh: &Mesh, what: &str) {
    wait_for(what, PATIENCE, || mesh.log(), |log| log.contains(what));
}

fn routes(mesh: &Mesh) -> Vec<Value> {
    let rows = mesh.run(&[
        "-n",
        "shop",
        "routes",
        "deploy/caller",
        "--to",
        "svc/books",
        "-o",
        "json",
    ]);
    let tables: Value = serde_json::from_slice(&rows.stdout).unwrap_or_default();
    let tables = tables.as_object().cloned().unwrap_or_default();
    let rows = tables
        .into_values()
        .flat_map(|rows| rows.as_array().cloned());
    rows.flatten().collect()
}

/// The process called `name`.
fn process(mesh: &Mesh, name: &str) -> u64 {
    let up = fs::read(mesh.folder().join(".mesh/run/up.json")).expect("it runs");
    let up: Value = serde_json::from_slice(&up).expect("it is JSON");
    let mut processes = up["processes"].as_array().into_iter().flatten();
    let process = processes.find(|process| process["name"] == name);
    process
        .and_then(|process| process["pid"].as_u64())
        .expect("it has a pid")
}

/// This machine's end of the cable to the mesh.
fn link(mesh: &Mesh) -> String {
    let rows = mesh.json(&["ps"]);
    let admin = rows[0]["admin"]
        .as_str()
        .expect("it has a sidecar")
        .to_owned();
    let number = admin.split('.').nth(1).expect("it has an address");
    format!("mesh{number}")
}

fn links() -> String {
    let output = Command::new("ip").args(["-o", "link"]).output();
    String::from_utf8_lossy(&output.expect("ip runs").stdout).into_owned()
}
