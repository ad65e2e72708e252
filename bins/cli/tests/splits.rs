//! The workshop's failure lab: a split sends every tenth request for a service to one that answers
//! nothing but errors, and its deletion ends that at once.

mod support;

use serde_json::Value;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    time::{Duration, SystemTime},
};
use support::{Mesh, bookshop, build, free_port, root, wait_for};

const PATIENCE: Duration = Duration::from_secs(90);

/// Time limit for a changed split to be in force in a sidecar.
const IN_FORCE: Duration = Duration::from_secs(1);

const NGINX: &str = "/usr/sbin/nginx";

/// One connection to the host port of `books`, which the gateway's sidecar serves.
struct Caller {
    connection: BufReader<TcpStream>,
    port: u16,
}

impl Caller {
    fn connect(port: u16) -> Self {
        let socket = TcpStream::connect(("127.0.0.1", port)).expect("the gateway listens");
        socket.set_nodelay(true).expect("a socket");
        let limit = Some(Duration::from_secs(10));
        socket.set_read_timeout(limit).expect("a socket");
        Self {
            connection: BufReader::new(socket),
            port,
        }
    }

    /// The status of a request on the same connection, which must stay open.
    fn call(&mut self) -> u16 {
        let request = format!(
            "GET /ping HTTP/1.1\r\nhost: 127.0.0.1:{}\r\n\r\n",
            self.port
        );
        let socket = self.connection.get_mut();
        socket.write_all(request.as_bytes()).expect("it is open");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let length = self.connection.read_line(&mut head).expect("it answers");
            assert_ne!(length, 0, "the connection was closed");
        }
        let header = |name: &str| {
            let mut lines = head.lines();
            lines.find_map(|line| {
                line.to_ascii_lowercase()
                    .strip_prefix(name)
                    .map(str::to_owned)
            })
        };
        assert_eq!(header("connection: close"), None, "{head}");
        let length = header("content-length: ").map_or(0, |it| it.parse().expect("a length"));
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).expect("the body");
        head[9..12].parse().expect("a status")
    }

    /// Of 100 requests, those that failed.
    fn failures(&mut self) -> usize {
        (0..100).filter(|_| self.call() >= 500).count()
    }

    /// Calls until `holds` of the last ten statuses, and returns the time that took.
    fn until(&mut self, holds: impl Fn(&[u16]) -> bool) -> Duration {
        let start = SystemTime::now();
        let elapsed = || start.elapsed().unwrap_or_default();
        let mut statuses = Vec::new();
        loop {
            statuses.push(self.call());
            let last = &statuses[statuses.len().saturating_sub(10)..];
            if last.len() == 10 && holds(last) {
                return elapsed();
            }
            assert!(elapsed() < PATIENCE, "{statuses:?}");
        }
    }
}

/// The bookshop without failures of its own, and services that answer nothing but errors.
fn shop(programs: &Path, books: u16, errors: u16, nginx: Option<u16>) -> String {
    let mesh = env!("CARGO_BIN_EXE_mesh");
    let mut shop = bookshop(programs, free_port())
        .replace("FAILURE_RATE: \"0.5\"", "FAILURE_RATE: \"0\"")
        .replace(
            "port: 7002\n    host_port: false",
            &format!("port: 7002\n    host_port: {books}"),
        );
    shop += &format!(
        "  error-injector:\n    command: [{mesh:?}, error-service, --status, \"500\", --port, \
         \"{errors}\"]\n    port: 7002\n    listen: {errors}\n    host_port: false\n"
    );
    if let Some(port) = nginx {
        shop += &format!(
            "  error-nginx:\n    command: exec {NGINX} -p . -c nginx.conf -e stderr\n    \
             port: 7002\n    listen: {port}\n    host_port: false\n"
        );
    }
    shop
}

/// An error service by hand.
fn nginx_conf(port: u16) -> String {
    format!(
        "daemon off;\npid nginx.pid;\nerror_log stderr;\nevents {{}}\nhttp {{\n  access_log off;\n  \
         client_body_temp_path t1;\n  proxy_temp_path t2;\n  fastcgi_temp_path t3;\n  \
         uwsgi_temp_path t4;\n  scgi_temp_path t5;\n  \
         server {{ listen 127.0.0.1:{port}; location / {{ return 500; }} }}\n}}\n"
    )
}

fn success(mesh: &Mesh) -> Option<f64> {
    let tables = mesh.json(&["routes", "deploy/webapp", "--to", "svc/books", "-t", "15s"]);
    let mut tables = tables.as_object()?.values();
    let rows = tables.next()?.as_array()?;
    rows.iter().find_map(|row| {
        row["success"]
            .as_f64()
            .or(row["effective_success"].as_f64())
    })
}

fn leaves(mesh: &Mesh) -> Vec<(String, String, Option<f64>)> {
    let rows = mesh.json(&["stat", "ts", "-t", "15s", "--from", "deploy/webapp"]);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows = rows.as_array().into_iter().flatten();
    rows.map(|row| {
        (
            text(&row["leaf"]),
            text(&row["weight"]),
            row["success"].as_f64(),
        )
    })
    .collect()
}

#[test]
fn the_failure_lab_holds() {
    let nginx = Path::new(NGINX).exists().then(free_port);
    if nginx.is_none() {
        mesh_skips::skip(format_args!("{NGINX} is not there"));
    }
    let (books, errors) = (free_port(), free_port());
    let config = shop(&build("booksapp"), books, errors, nginx);
    let conf = nginx_conf(nginx.unwrap_or_default());
    let mesh = Mesh::up_with_files(&config, &[], &[("nginx.conf", &conf)]);
    wait_for(
        "the shop sells",
        PATIENCE,
        || {
            mesh.run(&["routes", "deploy/webapp", "--to", "svc/books", "-o", "json"])
                .status
                .success()
                .then(|| success(&mesh))
                .flatten()
        },
        |rate| *rate == Some(1.0),
    );
    let mut caller = Caller::connect(books);
    assert_eq!(caller.failures(), 0);

    // Every tenth request fails, at once and on connections that stay open.
    let split = root().join("examples/booksapp/error-split.yaml");
    let split = split.to_str().expect("a plain path");
    let created = mesh.ok(&["apply", "-f", split]);
    assert_eq!(
        created,
        "trafficsplit.split.smi-spec.io/error-split created\n"
    );
    let took = caller.until(|last| last.iter().filter(|status| **status == 500).count() == 1);
    assert!(took < IN_FORCE, "{took:?}");
    assert_eq!(caller.failures(), 10);
    assert!(
        mesh.ok(&["get", "ts"])
            .contains("books=900m error-injector=100m   Accepted")
    );
    let shares = mesh.ok(&["split", "list"]);
    assert!(
        shares.contains("error-injector     100m   10.0%   Accepted"),
        "{shares}"
    );
    let url = "http://books:7002/books.json";
    let explained = mesh.ok(&["explain", "GET", url, "--from", "deploy/webapp"]);
    for part in [
        "90.0% to books.booksapp.svc.cluster.local:7002",
        "10.0% to error-injector.booksapp.svc.cluster.local:7002",
        "because     the TrafficSplit booksapp/error-split says so",
    ] {
        assert!(explained.contains(part), "{explained}");
    }

    // The webapp sees it: 90 %, within 2.
    let is_tenth = |rate: &Option<f64>| rate.is_some_and(|rate| (rate - 0.9).abs() <= 0.02);
    wait_for("one in ten fails", PATIENCE, || success(&mesh), is_tenth);
    let rows = wait_for(
        "each leaf has its numbers",
        PATIENCE,
        || leaves(&mesh),
        |rows| rows.iter().all(|(.., success)| success.is_some()),
    );
    assert_eq!(rows[0], ("books".into(), "900m".into(), Some(1.0)));
    assert_eq!(rows[1], ("error-injector".into(), "100m".into(), Some(0.0)));

    // An error service by hand does the same, by a change of the same split.
    if nginx.is_some() {
        let set = ["split", "set", "books", "books=50", "error-nginx=50"];
        assert_eq!(
            mesh.ok(&set),
            "trafficsplit.split.smi-spec.io/error-split configured\n"
        );
        let took = caller.until(|last| last.iter().filter(|status| **status == 500).count() == 5);
        assert!(took < IN_FORCE, "{took:?}");
        assert_eq!(caller.failures(), 50);
    }

    // What cannot be is refused with the reason, and traffic stays where it was.
    let zero = mesh.run(&["split", "set", "books", "books=0"]);
    assert!(!zero.status.success());
    let missing = mesh.run(&["split", "set", "books", "books=9", "nowhere=1"]);
    let warning = String::from_utf8_lossy(&missing.stderr).into_owned();
    assert!(missing.status.success(), "{warning}");
    assert!(warning.contains("there is no service nowhere"), "{warning}");
    assert!(mesh.ok(&["get", "ts"]).contains("BackendNotFound"));
    caller.until(|last| last.iter().all(|status| *status == 200));
    assert_eq!(caller.failures(), 0);

    // Deletion restores everything at once.
    mesh.ok(&["split", "set", "books", "books=900m", "error-injector=100m"]);
    caller.until(|last| last.contains(&500));
    let deleted = mesh.ok(&["delete", "ts/error-split"]);
    assert_eq!(
        deleted,
        "trafficsplit.split.smi-spec.io/error-split deleted\n"
    );
    let took = caller.until(|last| last.iter().all(|status| *status == 200));
    assert!(took < IN_FORCE, "{took:?}");
    assert_eq!(caller.failures(), 0);
    wait_for(
        "all is well",
        PATIENCE,
        || success(&mesh),
        |rate| *rate == Some(1.0),
    );
    mesh.down();
}
