//! The list of replicas that `mesh up` would give, for meshes that a test puts together by hand.

use serde_json::{Value, json};
use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    thread,
};

/// Answers `mesh check` on the supervisor's socket of `state_dir`, until the test ends.
pub fn serve(state_dir: &Path, rows: Value) {
    let listener = UnixListener::bind(state_dir.join("up.sock")).expect("a socket");
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            // A client that leaves early is none of this thread's business.
            let _ = answer(&stream, &rows);
        }
    });
}

/// A replica that is ready and whose sidecar has its admin port at `admin`.
pub fn ready(name: &str, workload: &str, admin: &str) -> Value {
    json!({"name": name, "workload": workload, "state": "ready", "pid": 1, "restarts": 0,
        "app": null, "inbound": null, "admin": admin, "why": null})
}

fn answer(mut stream: &UnixStream, rows: &Value) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let body = match first.split(' ').nth(1) {
        Some(path) if path.starts_with("/v1/ps") => rows.clone(),
        _ => json!({"pid": 1, "file": "mesh.yaml", "namespace": "shop", "ready": true, "urls": []}),
    }
    .to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
