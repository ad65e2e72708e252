//! Tests third-party programs: Debian's nginx and Python's http.server, called by curl and
//! Python's urllib through the mesh.

mod support;

use serde_json::Value;
use std::{fs, time::Duration};
use support::{Mesh, free_port, wait_for};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn third_party_programs_call_each_other() {
    let (nginx, python) = (free_port(), free_port());
    let mesh = Mesh::up(&format!(
        r#"
namespace: third-party
workloads:
  front:
    command: exec nginx -p "$PWD" -c nginx.conf -g 'daemon off;'
    port: 8080
    listen: {nginx}
    host_port: {python}
  files:
    command: exec python3 -m http.server --bind 127.0.0.1 "$PORT"
    port: 80
    host_port: false
    replicas: 2
  caller:
    command: |
      cat > call.py <<'END'
      import time, urllib.request
      while True:
          urllib.request.urlopen("http://files/hello.txt").read()
          time.sleep(0.1)
      END
      python3 call.py &
      while curl -sf -o got.txt http://front:8080/; do sleep 0.1; done
    depends_on: [front, files]
"#
    ));
    // nginx reads these when the mesh has started it; a restart finds them in any case.
    fs::write(mesh.folder().join("hello.txt"), "hello\n").expect("written");
    fs::write(
        mesh.folder().join("nginx.conf"),
        format!(
            "worker_processes 1; pid nginx.pid; error_log stderr; events {{}}\n\
             http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fcgi;\n\
             uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
             server {{ listen 127.0.0.1:{nginx}; location / {{ return 200 \"welcome $host\\n\"; }} }} }}\n"
        ),
    )
    .expect("written");

    for (from, to) in [("caller", "front"), ("caller", "files")] {
        wait_for(
            &format!("{from} calls {to}"),
            PATIENCE,
            || {
                rows(
                    &mesh,
                    &["stat", "deploy", from, "--to", &format!("deploy/{to}")],
                )
            },
            |rows| {
                rows.first()
                    .is_some_and(|row| row["success"] == 1.0 && row["rps"].as_f64() > Some(0.0))
            },
        );
    }
    // Both replicas get their share, and the gateway serves the host's port.
    wait_for(
        "both replicas serve",
        PATIENCE,
        || rows(&mesh, &["stat", "po"]),
        |rows| {
            let served = rows.iter().filter(|row| {
                row["name"]
                    .as_str()
                    .is_some_and(|name| name.starts_with("files-"))
                    && row["rps"].as_f64() > Some(0.0)
            });
            served.count() == 2
        },
    );
    let page = std::process::Command::new("curl")
        .args(["-s", &format!("http://127.0.0.1:{python}/")])
        .output()
        .expect("curl runs");
    assert_eq!(String::from_utf8_lossy(&page.stdout), "welcome 127.0.0.1\n");
    assert_eq!(
        fs::read_to_string(mesh.folder().join("got.txt")).expect("curl got it"),
        "welcome front\n"
    );
    mesh.down();
}

fn rows(mesh: &Mesh, args: &[&str]) -> Vec<Value> {
    let output = mesh.run(&[args, &["-t", "15s", "-o", "json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_default()
}
