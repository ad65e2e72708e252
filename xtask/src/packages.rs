//! Packing what would be published, and building it from its package alone.

use crate::{libraries::workspace, test::cargo};
use anyhow::Context;
use serde_json::Value;
use std::path::PathBuf;

/// What would be published compiles from its package alone.
pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = workspace()?;
    let packages = metadata["packages"].as_array().context("no `packages`")?;
    forget_unpacked(packages)?;
    let mut arguments = vec!["package", "--quiet", "--workspace", "--allow-dirty"];
    // `publish = false`: for this repository alone.
    let unpublished = packages
        .iter()
        .filter(|package| package["publish"].as_array().is_some_and(Vec::is_empty));
    for name in unpublished.filter_map(|package| package["name"].as_str()) {
        arguments.extend(["--exclude", name]);
    }
    cargo(&arguments)
}

/// Removes what cargo unpacked of this repository's packages when it packed them before.
///
/// It unpacks them beside downloaded crates, in a folder whose name depends on the target directory
/// alone, and takes what lies there for a package of the same version without looking into it: the
/// code of an earlier commit.
fn forget_unpacked(packages: &[Value]) -> anyhow::Result<()> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
    let unpacked = home.context("no home directory")?.join("registry/src");
    let Ok(registries) = std::fs::read_dir(&unpacked) else {
        return Ok(());
    };
    for registry in registries {
        let registry = registry?;
        // Only a registry that is a folder of this machine has no host before the hash.
        if !registry.file_name().as_encoded_bytes().starts_with(b"-") {
            continue;
        }
        for package in packages {
            let name = package["name"].as_str().context("a package without name")?;
            let version = package["version"].as_str().context("no version")?;
            let folder = registry.path().join(format!("{name}-{version}"));
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(error).with_context(|| folder.display().to_string());
                }
                _ => {}
            }
        }
    }
    Ok(())
}
