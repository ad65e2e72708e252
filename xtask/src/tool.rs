//! Programs that only checks need, built once into `target/tools`.

use anyhow::bail;
use std::{env, path::Path, process::Command};

/// `cargo NAME`, installed if the machine does not have it.
pub(crate) fn cargo(name: &str) -> anyhow::Result<Command> {
    let package = format!("cargo-{name}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let has = |program: &Path| {
        let version = Command::new(program).arg(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let ours = root.join("bin").join(&package);
    let program = match (has(Path::new(&package)), has(&ours)) {
        (true, _) => Path::new(&package),
        (false, true) => &ours,
        (false, false) => {
            eprintln!("installing {package}, which takes minutes");
            // Unoptimised: compiling takes longer than any run of it here.
            let status = Command::new(env!("CARGO"))
                .args([
                    "install", "--locked", "--quiet", "--debug", &package, "--root",
                ])
                .arg(&root)
                .env_remove("CARGO_TARGET_DIR")
                .status()?;
            if !status.success() {
                bail!("cargo install {package}: {status}");
            }
            &ours
        }
    };
    let mut command = Command::new(program);
    command.arg(name);
    Ok(command)
}
