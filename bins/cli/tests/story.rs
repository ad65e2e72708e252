//! The workshop's debugging lab, as a person does it: mesh the bookshop, see that it fails, find
//! the route that fails, make it retryable, give it a deadline, and watch.

mod support;

use serde_json::Value;
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use support::{Mesh, bookshop, build, free_port, root, wait_for};

const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn the_debugging_lab_holds_with_our_documents() {
    let swagger = root().join("examples/booksapp/swagger");
    tell(|service| swagger.join(format!("{service}.yaml")));
}

#[test]
fn the_debugging_lab_holds_with_the_workshops_documents() {
    let shared = root().join("../shared/data/openapi");
    if !shared.is_dir() {
        mesh_skips::skip(format_args!("{} is not there", shared.display()));
        return;
    }
    tell(|service| shared.join(format!("booksapp-{service}.swagger.yaml")));
}

fn tell(document: impl Fn(&str) -> std::path::PathBuf) {
    // One bookshop at a time: its deadlines are real ones.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let port = free_port();
    let mesh = Mesh::up(&bookshop(&build("booksapp"), port));

    // (a) Four meshed workloads, of which the front page fails for some.
    wait_for(
        "webapp fails for some",
        PATIENCE,
        || stat(&mesh, "webapp"),
        |row| success(row).is_some_and(|rate| rate < 0.99),
    );
    let table = mesh.ok(&["stat", "deploy"]);
    for (workload, meshed) in [
        ("authors", "1/1"),
        ("books", "1/1"),
        ("traffic", "1/1"),
        ("webapp", "3/3"),
    ] {
        assert!(
            table
                .lines()
                .any(|line| line.starts_with(workload) && line.contains(meshed)),
            "{table}"
        );
    }
    assert!(table.starts_with("NAME      MESHED   SUCCESS"), "{table}");

    // (b) Without profiles there is one nameless route; with them the failing one has a name.
    let table = mesh.ok(&["routes", "deploy/webapp", "--to", "svc/books"]);
    assert!(
        table.contains("[DEFAULT]") && !table.contains("GET /"),
        "{table}"
    );
    for service in ["webapp", "authors", "books"] {
        let document = document(service);
        let document = document.to_str().expect("a plain path");
        let profile = mesh.ok(&["-n", "booksapp", "profile", "--open-api", document, service]);
        let applied = mesh.feed(&["apply", "-f", "-"], &profile);
        assert_eq!(
            applied.trim(),
            format!("serviceprofile.linkerd.io/{service}.booksapp.svc.cluster.local created")
        );
    }
    let post = wait_for(
        "POST /books.json fails",
        PATIENCE,
        || {
            route(
                &mesh,
                &["routes", "deploy/webapp", "--to", "svc/books"],
                "POST /books.json",
            )
        },
        |row| {
            row["effective_success"]
                .as_f64()
                .or(success(row))
                .is_some_and(|rate| (0.2..0.8).contains(&rate))
        },
    );
    assert_eq!(post["authority"], "books");
    let to_authors = ["routes", "deploy/books", "--to", "svc/authors", "-t", "15s"];
    wait_for(
        "HEAD fails half of the time",
        PATIENCE,
        || route(&mesh, &to_authors, "HEAD /authors/{id}.json"),
        |row| success(row).is_some_and(|rate| (0.3..0.7).contains(&rate)),
    );

    // (c) Retries hide the failures from callers and from nobody else.
    edit(
        &mesh,
        "authors",
        "name: HEAD /authors/{id}.json",
        "isRetryable: true",
    );
    let wide = [
        "routes",
        "deploy/books",
        "--to",
        "svc/authors",
        "-t",
        "15s",
        "-o",
        "wide",
    ];
    let row = wait_for(
        "callers see success",
        PATIENCE,
        || route(&mesh, &to_authors, "HEAD /authors/{id}.json"),
        |row| {
            row["effective_success"]
                .as_f64()
                .is_some_and(|rate| rate > 0.99)
        },
    );
    let actual = row["actual_success"].as_f64().expect("there were attempts");
    assert!((0.3..0.7).contains(&actual), "{row}");
    assert!(
        row["actual_rps"].as_f64() > row["effective_rps"].as_f64(),
        "{row}"
    );
    assert!(
        mesh.ok(&wide)
            .contains("EFFECTIVE_SUCCESS   EFFECTIVE_RPS   ACTUAL_SUCCESS   ACTUAL_RPS")
    );
    for _ in 0..20 {
        add_a_book(port);
    }

    // (d) A deadline on changing a book: some are cut off, and nothing takes longer.
    edit(
        &mesh,
        "books",
        "name: PUT /books/{id}.json",
        "timeout: 25ms",
    );
    let put = wait_for(
        "some changes are cut off",
        PATIENCE,
        || {
            route(
                &mesh,
                &["routes", "deploy/webapp", "--to", "svc/books", "-t", "15s"],
                "PUT /books/{id}.json",
            )
        },
        |row| {
            success(row).is_some_and(|rate| rate < 0.99)
                && row["latency_ms_p99"].as_u64() <= Some(30)
        },
    );
    // An attempt that is cut off is no response, so what the service did answer was good.
    let actual = put["actual_success"].as_f64();
    assert!(actual.is_none_or(|rate| rate > 0.99), "{put}");

    // (e) Live requests carry their route, and `top` ranks them.
    let mut tap = mesh
        .command(&["tap", "deploy/webapp", "-o", "wide"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("mesh taps");
    let lines = std::io::BufRead::lines(std::io::BufReader::new(
        tap.stdout.take().expect("it is piped"),
    ));
    let tapped = lines.map_while(Result::ok).take(400).find(|line| {
        line.starts_with("req id=") && line.contains("proxy=out") && line.contains("rt_route=")
    });
    let _ = tap.kill();
    let _ = tap.wait();
    assert!(
        tapped.is_some_and(|line| line.contains("src_deployment=webapp")),
        "no request with its route"
    );
    // An archive is whole although its tap is ended by SIGTERM.
    let har = mesh
        .command(&["tap", "deploy/webapp", "-o", "har"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("mesh taps");
    let top = mesh.ok(&["top", "deploy/webapp", "--once", "3"]);
    let pid = har.id().to_string();
    let killed = std::process::Command::new("kill").arg(&pid).status();
    assert!(killed.is_ok_and(|status| status.success()), "kill {pid}");
    let har = har.wait_with_output().expect("it ends");
    let har: serde_json::Value = serde_json::from_slice(&har.stdout).expect("an HTTP Archive");
    let entries = har["log"]["entries"].as_array();
    assert!(entries.is_some_and(|entries| !entries.is_empty()), "{har}");
    let counts: Vec<u64> = top.lines().filter_map(count).collect();
    assert!(
        !counts.is_empty() && counts.is_sorted_by(|a, b| a >= b),
        "{top}"
    );
    // All have the same address; who calls is known all the same. Which replicas are called in these
    // seconds is the balancer's choice: the slowest of late may be none of them.
    let is_from_traffic = |line: &str| line.starts_with("traffic-0 ") && line.contains("webapp-");
    assert!(top.lines().any(is_from_traffic), "{top}");

    mesh.down();
}

/// Adds `line` to the route that has `after`, by hand.
fn edit(mesh: &Mesh, service: &str, after: &str, line: &str) {
    let name = format!("{service}.booksapp.svc.cluster.local");
    let profile = mesh.ok(&["get", "sp", &name, "-o", "yaml"]);
    assert!(profile.contains(after), "{profile}");
    let edited = profile.replace(after, &format!("{after}\n    {line}"));
    let applied = mesh.feed(&["apply", "-f", "-"], &edited);
    assert_eq!(
        applied.trim(),
        format!("serviceprofile.linkerd.io/{name} configured")
    );
}

fn stat(mesh: &Mesh, workload: &str) -> Value {
    let rows = mesh.run(&["stat", "deploy", "-t", "15s", "-o", "json"]);
    let rows: Value = serde_json::from_slice(&rows.stdout).unwrap_or_default();
    rows.as_array()
        .into_iter()
        .flatten()
        .find(|row| row["name"] == workload)
        .cloned()
        .unwrap_or_default()
}

fn route(mesh: &Mesh, args: &[&str], name: &str) -> Value {
    let tables = mesh.json(args);
    let rows = tables
        .as_object()
        .into_iter()
        .flatten()
        .flat_map(|(_, rows)| rows.as_array().into_iter().flatten());
    rows.into_iter()
        .find(|row| row["route"] == name)
        .cloned()
        .unwrap_or_default()
}

fn success(row: &Value) -> Option<f64> {
    row["success"]
        .as_f64()
        .or_else(|| row["effective_success"].as_f64())
}

/// The Count column of a line of `top`.
fn count(line: &str) -> Option<u64> {
    line.split_whitespace().nth(4)?.parse().ok()
}

/// Adds a book as the page's form does, through the host port.
fn add_a_book(port: u16) {
    let output = std::process::Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-d",
            "title=Ulysses&pages=730&author_id=1",
        ])
        .arg(format!("http://127.0.0.1:{port}/books"))
        .output()
        .expect("curl runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "303",
        "adding a book works"
    );
}
