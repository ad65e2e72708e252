//! Programs that nobody wrote for a mesh: where they listen, what they read, what they expect.

use super::{
    PATIENCE, ready, rows,
    support::{Mesh, free_port, http_get, wait_for},
};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv6Addr, TcpListener, TcpStream},
};

/// Repeats what it hears, on `::1` only.
const ECHO: &str = "import os, socket, socketserver\n\
    class Echo(socketserver.StreamRequestHandler):\n  \
    def handle(self): self.wfile.write(self.rfile.readline())\n\
    class Server(socketserver.ThreadingTCPServer): address_family = socket.AF_INET6\n\
    Server(('::1', int(os.environ['PORT'])), Echo).serve_forever()\n";

#[test]
fn a_program_that_listens_on_the_other_loopback_is_ready_and_called() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        mesh_skips::skip("this machine has no IPv6");
        return;
    }
    let (web, echo) = (free_port(), free_port());
    let config = format!(
        "workloads:\n  \
         web: {{command: 'exec python3 -m http.server --bind ::1 $PORT', port: 80, host_port: {web}, ready: /hello.txt}}\n  \
         echo: {{command: [python3, echo.py], port: 7, opaque: true, host_port: {echo}}}\n"
    );
    let files = [("echo.py", ECHO), ("hello.txt", "hello\n")];
    let mesh = Mesh::up_with_files(&config, &[], &files);
    ready(&mesh);
    // The gateway listens on both, too.
    for host in ["127.0.0.1", "[::1]"] {
        assert_eq!(http_get(&format!("{host}:{web}"), "/hello.txt"), "hello\n");
        let mut socket = TcpStream::connect(format!("{host}:{echo}")).unwrap();
        socket.write_all(b"a line\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "a line\n");
    }
    let hello = mesh.ok(&["run", "--", "curl", "-s", "http://web/hello.txt"]);
    assert_eq!(hello, "hello\n");
    mesh.down();
}

/// Answers with the name of the port, on three ports.
const PORTS: &str = r#"
import http.server, os, socketserver, threading
def web(name, port):
    class Web(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-length", str(len(name)))
            self.end_headers()
            self.wfile.write(name.encode())
        def log_message(self, *args): pass
    return http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Web)
class Raw(socketserver.StreamRequestHandler):
    def handle(self): self.wfile.write(b"raw\n")
raw = socketserver.ThreadingTCPServer(("127.0.0.1", int(os.environ["PORT_RAW"])), Raw)
for server in [raw, web("metrics", os.environ["PORT_METRICS"])]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
assert os.environ["PORT"] == os.environ["PORT_MAIN"]
web("main", os.environ["PORT"]).serve_forever()
"#;

#[test]
fn every_port_of_a_service_is_called_by_its_number() {
    let (host_port, listen) = (free_port(), free_port());
    let config = format!(
        "workloads:\n  web:\n    command: [python3, ports.py]\n    ports:\n    \
         - {{name: main, port: 80, host_port: false}}\n    \
         - {{name: metrics, port: 9090, host_port: {host_port}}}\n    \
         - {{name: raw, port: 7, listen: {listen}, opaque: true}}\n"
    );
    let mesh = Mesh::up_with_files(&config, &[], &[("ports.py", PORTS)]);
    ready(&mesh);
    for (port, name) in [(80, "main"), (9090, "metrics")] {
        let url = format!("http://web:{port}/");
        assert_eq!(mesh.ok(&["run", "--", "curl", "-sS", &url]), name);
    }
    // The proxy of the program's environment opens a tunnel to the third.
    let raw = "curl -sSp -x $http_proxy telnet://web:7 < /dev/null";
    let raw = mesh.ok(&["run", "--", "timeout", "20", "sh", "-c", raw]);
    assert_eq!(raw, "raw\n");
    assert_eq!(http_get(&format!("127.0.0.1:{host_port}"), "/"), "metrics");
    mesh.down();
}

#[test]
fn a_program_that_listens_elsewhere_is_told_where_and_how_to_mend_it() {
    let (other, host_port) = (free_port(), free_port());
    let config = format!(
        "workloads:\n  \
         elsewhere: {{command: [python3, -m, http.server, '{other}'], port: 80, host_port: false}}\n  \
         fixed: {{command: [python3, -m, http.server, '{host_port}'], port: {host_port}}}\n  \
         unhealthy: {{command: 'exec python3 -m http.server $PORT', port: 80, service: sick, host_port: false, ready: /nothing}}\n  \
         caller: {{command: [cat], upstreams: {{SICK: 'sik:80'}}}}\n"
    );
    let mesh = Mesh::up(&config);
    for line in [
        "elsewhere-0 is not ready yet (connecting to 127.0.0.1:".to_owned(),
        format!("it listens on 0.0.0.0:{other} instead of "),
        format!("let it read $PORT, or say `listen: {other}` in mesh.yaml"),
        format!(
            "port {host_port} is taken by the gateway of this mesh, as a host port; let the program listen on $PORT ("
        ),
        "/nothing: answered 404)".to_owned(),
        "ready 1 of 4; waiting for elsewhere-0 (starting), fixed-0".to_owned(),
        "workload caller: upstream SICK is sik:80, which no workload has; did you mean `sick`?"
            .to_owned(),
    ] {
        wait_for(&line, PATIENCE, || mesh.log(), |log| log.contains(&line));
    }
    let rows = rows(&mesh);
    let unhealthy = rows
        .iter()
        .find(|row| row["workload"] == "unhealthy")
        .unwrap();
    let why = unhealthy["why"].as_str().unwrap_or_default();
    assert!(why.ends_with("/nothing: answered 404"), "{why}");
    mesh.down();
}

#[test]
fn standard_input_stays_open_unless_the_file_says_otherwise() {
    let mesh = Mesh::up(
        "workloads:\n  \
         empty: {command: 'cat; echo the end; exec sleep 1000', stdin: false}\n  \
         watcher: {command: [cat]}\n",
    );
    ready(&mesh);
    wait_for(
        "the empty input has ended",
        PATIENCE,
        || mesh.log(),
        |log| log.contains("the end"),
    );
    let rows = rows(&mesh);
    let stdin = |name: &str| {
        let row = rows.iter().find(|row| row["workload"] == name).unwrap();
        assert_eq!(row["restarts"], 0, "{row}");
        let link = format!("/proc/{}/fd/0", row["pid"]);
        fs::read_link(link).unwrap().to_string_lossy().into_owned()
    };
    assert_eq!(stdin("empty"), "/dev/null");
    assert!(
        stdin("watcher").starts_with("pipe:"),
        "{}",
        stdin("watcher")
    );
    mesh.down();
}
