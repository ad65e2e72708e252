//! Suites of others against the sidecar: h2spec, and the interoperability suite of gRPC.

use crate::skips;
use anyhow::bail;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Go's name of each suite's package, and what the program is called.
const SUITES: [(&str, &str); 3] = [
    (
        "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible",
        "h2spec",
    ),
    ("google.golang.org/grpc/interop/client@v1.85.0", "client"),
    ("google.golang.org/grpc/interop/server@v1.85.0", "server"),
];

pub(crate) fn run() -> anyhow::Result<()> {
    let go = Command::new("go")
        .arg("version")
        .stdout(Stdio::null())
        .status();
    if !go.is_ok_and(|status| status.success()) {
        let why = "h2spec and the suite of gRPC need Go, which is not here";
        if mesh_skips::are_forbidden() {
            bail!(why);
        }
        mesh_skips::skip_in(&skips::file(), why);
        return Ok(());
    }
    let folder = install()?;
    let status = Command::new(env!("CARGO"))
        .args([
            "test",
            "--workspace",
            "--all-features",
            "--test",
            "protocols",
        ])
        .args(["--", "--ignored", "--nocapture"])
        .env("PROTOCOL_SUITES", folder)
        .env(mesh_skips::FILE, skips::file())
        .status()?;
    if status.success() {
        Ok(())
    } else {
        bail!("cargo test --test protocols: {status}")
    }
}

/// Builds what is not there yet; a folder for each set of versions.
fn install() -> anyhow::Result<PathBuf> {
    let versions: Vec<_> = SUITES
        .iter()
        .filter_map(|(package, _)| package.rsplit_once('@'))
        .map(|(_, version)| version)
        .collect();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    fs::create_dir_all(&root)?;
    let folder = root.canonicalize()?.join(versions.join("-"));
    for (package, program) in SUITES {
        if folder.join(program).exists() {
            continue;
        }
        eprintln!("building {package}");
        let status = Command::new("go")
            .args(["install", package])
            .env("GOBIN", &folder)
            .status()?;
        if !status.success() {
            bail!("go install {package}: {status}");
        }
    }
    Ok(folder)
}
