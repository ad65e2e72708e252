//! Packs every published crate and checks that each compiles from its package alone.
//!
//! Packages are unpacked into a workspace of their own that shares the target directory, so that
//! dependencies which other steps have checked are not compiled again.

use crate::{
    libraries,
    test::{cargo, run_with},
};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{fmt::Write as _, fs, path::Path, process::Command};

pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = libraries::workspace()?;
    let packages = published(&metadata)?;
    let target = libraries::target_dir()?;
    pack(&packages)?;
    let folder = target.join("unpacked");
    unpack(&target.join("package"), &folder, &packages)?;
    let manifest = folder.join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    for Package { name, .. } in &packages {
        println!("{name} from its package");
        let check = ["check", "--quiet", "--manifest-path", &manifest];
        let of = ["--package", name.as_str()];
        run_with(
            &[check.as_slice(), &of].concat(),
            &[("CARGO_TARGET_DIR", &target.to_string_lossy())],
        )?;
    }
    Ok(())
}

/// A crate that is published.
struct Package {
    name: String,
    version: String,
}

/// The packages that lack `publish = false`.
fn published(metadata: &Value) -> anyhow::Result<Vec<Package>> {
    let packages = metadata["packages"].as_array().context("no `packages`")?;
    let published = packages
        .iter()
        .filter(|package| !package["publish"].as_array().is_some_and(Vec::is_empty));
    let published = published.map(|package| {
        let text = |field: &str| package[field].as_str().map(ToOwned::to_owned);
        Some(Package {
            name: text("name")?,
            version: text("version")?,
        })
    });
    let published: Option<Vec<_>> = published.collect();
    published.context("a package without name or version")
}

/// Writes the `.crate` files into `target/package`.
fn pack(packages: &[Package]) -> anyhow::Result<()> {
    let mut arguments = vec!["package", "--quiet", "--no-verify", "--allow-dirty"];
    for Package { name, .. } in packages {
        arguments.extend(["--package", name]);
    }
    cargo(&arguments)
}

/// Makes a workspace of the unpacked packages, which find each other by `[patch]`.
fn unpack(packed: &Path, folder: &Path, packages: &[Package]) -> anyhow::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut members = String::new();
    let mut patches = String::new();
    for Package { name, version } in packages {
        let archive = packed.join(format!("{name}-{version}.crate"));
        let status = Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(folder)
            .status()?;
        if !status.success() {
            bail!("cannot unpack {}: {status}", archive.display());
        }
        let _ = writeln!(members, "    \"{name}-{version}\",");
        let _ = writeln!(patches, "{name} = {{ path = \"{name}-{version}\" }}");
    }
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\n{members}]\n\n[patch.crates-io]\n{patches}"
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    Ok(())
}
