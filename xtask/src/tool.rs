//! Programs that only checks need, installed once into `target/tools`.

use anyhow::bail;
use std::{env, path::Path, process::Command};

/// `cargo NAME`, installed if the machine does not have it.
pub(crate) fn cargo(name: &str) -> anyhow::Result<Command> {
    let package = format!("cargo-{name}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools");
    let runs = |program: &Path| {
        let version = Command::new(program).arg(name).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    };
    let ours = root.join("bin").join(&package);
    let program = if runs(Path::new(&package)) {
        Path::new(&package)
    } else {
        let is_there = runs(&ours) || (install_wheels(&root) && runs(&ours));
        if !is_there {
            compile(&package, &root)?;
        }
        &ours
    };
    let mut command = Command::new(program);
    command.arg(name);
    Ok(command)
}

/// Installs the programs of `xtask/tools.txt` as others have compiled them, which takes a second
/// instead of minutes, and returns true if that succeeded.
fn install_wheels(root: &Path) -> bool {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools.txt");
    let pip = Command::new("python3")
        .args(["-m", "pip", "install", "--quiet", "--upgrade", "--target"])
        .arg(root)
        .args(["--disable-pip-version-check", "--root-user-action=ignore"])
        .args(["--no-deps", "--only-binary", ":all:", "--require-hashes"])
        .arg("--requirement")
        .arg(list)
        .status();
    pip.is_ok_and(|status| status.success())
}

fn compile(package: &str, root: &Path) -> anyhow::Result<()> {
    eprintln!("compiling {package}, which takes minutes");
    // Unoptimised: compiling takes longer than any run of it here.
    let status = Command::new(env!("CARGO"))
        .args(["install", "--locked", "--quiet", "--debug", "--force"])
        .args([package, "--root"])
        .arg(root)
        .env_remove("CARGO_TARGET_DIR")
        .status()?;
    if !status.success() {
        bail!("cargo install {package}: {status}");
    }
    Ok(())
}
