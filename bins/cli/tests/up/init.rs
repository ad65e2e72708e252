//! `mesh init` and `mesh redirect`.

use super::error;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const COMPOSE: &str = r#"
services:
  api:
    build: ./api
    command: ["./server", "--port", "8000"]
    ports: ["9000:8000/tcp"]
    environment: [MODE=test, PORT=8000]
    depends_on: [db, worker_1]
  worker_1:
    command: python3 worker.py
    environment: { QUEUE: "a: b" }
  db:
    image: postgres:16
"#;

fn init(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mesh"))
        .arg("init")
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[test]
fn a_first_mesh_yaml_is_written_from_what_is_there() {
    for (files, args, expected) in [
        (
            &[("compose.yaml", COMPOSE), ("api/main.c", "")][..],
            &[][..],
            &[
                "# Note: `db` is the image postgres:16: run it with Docker",
                "  api:\n    command: [\"./server\",\"--port\",\"8000\"]\n    dir: \"./api\"\n    port: 8000  ",
                "    listen: 8000  #",
                "      \"MODE\": \"test\"\n    depends_on: [\"worker-1\"]\n",
                "  worker-1:\n    command: \"python3 worker.py\"\n    env:\n      \"QUEUE\": \"a: b\"\n",
            ][..],
        ),
        (
            &[(
                "Procfile",
                "# x\nweb: gunicorn app -b :$PORT\nworker: python worker.py\n",
            )],
            &[],
            &[
                "  web:\n    command: \"gunicorn app -b :$PORT\"\n    port: 8080",
                "  worker:\n    command: \"python worker.py\"\n",
            ],
        ),
        (
            &[
                (
                    "package.json",
                    r#"{"name": "@shop/front_end", "scripts": {"dev": "vite"}}"#,
                ),
                ("go.mod", "module example.com/shop/v2\n\ngo 1.22\n"),
            ],
            &[],
            &[
                "  front-end:\n    command: [\"npm\",\"run\",\"dev\"]\n    port: 3000",
                "  shop:\n    command: [\"bin/shop\"]\n",
                "build: \"mkdir -p bin && go build -o bin/ .\"",
                "from package.json, go.mod",
            ],
        ),
        (
            &[
                (
                    "Cargo.toml",
                    "[package]\nname = \"shop\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
                ),
                ("src/main.rs", "fn main() {}\n"),
                ("src/bin/tool.rs", "fn main() {}\n"),
            ],
            &[],
            &[
                "build: \"cargo build\"",
                "  shop:\n    command: [\"target/debug/shop\"]",
                "  tool:\n",
            ],
        ),
        (
            &[],
            &["--", "/usr/bin/python3", "app.py"],
            &["  python3:\n    command: [\"/usr/bin/python3\",\"app.py\"]\n    port: 8080"],
        ),
        (
            &[],
            &[],
            &["workloads: {}\n#  web:", "# Note: the folder has no "],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        let output = init(folder.path(), args);
        assert!(output.status.success(), "{}", error(&output));
        let text = fs::read_to_string(folder.path().join("mesh.yaml")).unwrap();
        for part in expected {
            assert!(text.contains(part), "{part}\n--- in\n{text}");
        }

        // It is there now.
        fs::write(folder.path().join("mesh.yaml"), "mine\n").unwrap();
        let no = init(folder.path(), args);
        assert_eq!(no.status.code(), Some(1));
        assert!(
            error(&no).contains("--force overwrites it"),
            "{}",
            error(&no)
        );
        let mine = fs::read_to_string(folder.path().join("mesh.yaml")).unwrap();
        assert_eq!(mine, "mine\n");
        let print = init(folder.path(), &[&["--print"], args].concat());
        assert_eq!(String::from_utf8_lossy(&print.stdout), text);
        assert!(
            init(folder.path(), &[&["--force"], args].concat())
                .status
                .success()
        );
    }
}

#[test]
fn the_network_of_the_whole_machine_is_not_redirected_by_mistake() {
    let mesh = env!("CARGO_BIN_EXE_mesh");
    let no = Command::new(mesh).arg("redirect").output().unwrap();
    assert_eq!(no.status.code(), Some(1));
    let said = error(&no);
    assert!(said.contains("--yes-this-namespace"), "{said}");
    assert!(said.contains("mesh up --transparent"), "{said}");
    let help = Command::new(mesh).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout);
    assert!(
        !help.contains("redirect") && help.contains("\n  init "),
        "{help}"
    );
}

#[test]
fn a_redirection_is_taken_back_and_the_rules_of_others_stay() {
    for iptables in ["iptables-nft", "iptables-legacy"] {
        let within = |script: &str| {
            Command::new("unshare")
                .args(["--net", "sh", "-ec", script])
                .env("mesh", env!("CARGO_BIN_EXE_mesh"))
                .env("v4", iptables)
                .env("v6", iptables.replacen("ip", "ip6", 1))
                .output()
                .expect("unshare runs")
        };
        let redirects =
            "$v4 -t nat -A OUTPUT -p tcp -j REDIRECT && $v6 -t nat -A OUTPUT -p tcp -j REDIRECT";
        if !within(redirects).status.success() {
            mesh_skips::skip(format_args!(
                "needs root, {iptables} and address translation"
            ));
            continue;
        }
        let output = within(
            "$v4 -t nat -A OUTPUT -p tcp --dport 9 -j RETURN
            $mesh redirect --firewall-bin-path $v4
            $v4-save -t nat | grep -c PROXY_INIT > /dev/null
            $v6-save -t nat | grep -c PROXY_INIT > /dev/null
            for turn in 1 2; do $mesh redirect --undo --firewall-bin-path $v4; done
            $v4-save -t nat
            $v6-save -t nat",
        );
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}{}", error(&output));
        assert!(!text.contains("PROXY_INIT"), "{text}");
        for part in [
            "are redirected: incoming ones to port 4143, outgoing ones to port 4140",
            "are removed",
            "has no redirections",
            "--dport 9 -j RETURN",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
