//! Checks the libraries' promises: few dependencies, few foreign types in signatures, one version
//! of the core.

use crate::test::{TESTED, run_with};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

/// The crates that people add to programs of their own, and how many crates each may bring along.
const BILLS: &[(&str, usize)] = &[
    ("mesh-api", 7 + 2),
    ("mesh-canary", 0),
    ("mesh-local", 3 + 2),
    ("mesh-split", 2 + 2),
    ("mesh-sdk-core", 3 + 2),
    ("mesh-conformance", 5 + 2),
    ("mesh-balance", 7 + 2),
    ("mesh-timeout", 8 + 2),
    ("mesh-tap", 8 + 2),
    ("mesh-fault", 8 + 2),
    ("mesh-retry", 9 + 2),
    ("mesh-stats", 8 + 2),
    ("mesh-profile", 17 + 2),
    ("mesh-transport", 6 + 2),
    ("mesh-pool", 33 + 2),
    ("mesh-serve", 38 + 2),
];

/// Crates whose types public signatures may name: crates at 1.0, our own, and those whose next
/// version would break every tower middleware anyway.
const FOREIGN: &[&str] = &[
    "core",
    "alloc",
    "std",
    "bytes",
    "http",
    "http_body",
    "mesh_core",
    "mesh_profile",
    "mesh_transport",
    "serde_core",
    "tower_layer",
    "tower_service",
];

/// Further types that one library may name, in files with this prefix, with the reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // The macro's bound for `Unpin`, which no program can name.
    ("", "pin_project_lite::__private"),
    // The error of an input that is JSON.
    ("mesh-yaml/src/print/", "serde_json::error::Error"),
    // The reader of manifests, re-exported, and its errors.
    ("mesh-manifest/src/", "mesh_yaml"),
    // A Canary is a manifest and a resource, and the library of that name defines it.
    ("mesh-manifest/src/canary.rs", "mesh_canary"),
    ("mesh-control/src/model/", "mesh_canary"),
    // The feature of that name exists for this type.
    ("mesh-profile/src/openapi/", "openapiv3::openapi::OpenAPI"),
    // The feature `openapi` describes the types, by the trait of the crate that writes schemas.
    ("mesh-api/src/", "schemars"),
    // Its configurations are those of rustls, and certificates are what rustls takes.
    ("mesh-identity/src/", "rustls"),
    ("mesh-identity/src/", "rustls_pki_types"),
    // A socket is a runtime's own: it is made of one, and read and written as one.
    ("mesh-transport/src/io.rs", "tokio"),
    ("mesh-pool/src/connect.rs", "tokio"),
    // Takes the socket back out of an upgraded connection, which is a type of hyper's.
    (
        "mesh-serve/src/server/reclaim.rs",
        "hyper::upgrade::Upgraded",
    ),
    // `wire` is for those who write controllers: messages, and a service for tonic's server.
    ("mesh-discover/src/wire/", "linkerd2_proxy_api"),
    ("mesh-discover/src/wire/mesh_v1/", "prost"),
    ("mesh-discover/src/wire/mesh_v1/", "tonic"),
    ("mesh-discover/src/wire/mesh_v1/", "futures_core"),
    // Answers carry the endpoints that clients follow.
    ("mesh-control/src/index/", "mesh_discover"),
    // A declared fault is the one that clients inject.
    ("mesh-control/src/faults.rs", "mesh_discover"),
    // `grpc` has services for tonic's server, and the message that one of them sends.
    ("mesh-control/src/grpc/", "linkerd2_proxy_api"),
    ("mesh-control/src/grpc/", "mesh_discover"),
    ("mesh-control/src/grpc/", "tonic"),
    ("mesh-control/src/grpc/", "tokio"),
    ("mesh-control/src/grpc/", "tokio_stream"),
    ("mesh-control/src/grpc/", "futures_core"),
    // Questions are about the resources of the API.
    ("mesh-control/src/stats/", "mesh_api"),
    ("mesh-control/src/tap/", "mesh_api"),
    // Events of sidecars are read from Linkerd's messages.
    ("mesh-control/src/tap/", "linkerd2_proxy_api"),
    // A tap is a channel of events, whose filter is the library's.
    ("mesh-control/src/tap/", "mesh_tap"),
    ("mesh-control/src/tap/", "tokio"),
    // `follow` and `embedded` are made of these, which are ours.
    ("mesh-discover/src/follow/", "mesh_balance"),
    ("mesh-discover/src/follow/", "mesh_split"),
    ("mesh-discover/src/embedded/", "mesh_balance"),
    ("mesh-discover/src/embedded/", "mesh_retry"),
    ("mesh-discover/src/embedded/", "mesh_split"),
    ("mesh-discover/src/embedded/", "mesh_stats"),
];

const LIBRARIES: &[&str] = &[
    "mesh-sdk-core",
    "mesh-profile",
    "mesh-stats",
    "mesh-yaml",
    "mesh-manifest",
    "mesh-retry",
    "mesh-timeout",
    "mesh-split",
    "mesh-fault",
    "mesh-balance",
    "mesh-tap",
    "mesh-discover",
    "mesh-api",
    "mesh-control",
    "mesh-conformance",
    "mesh-transport",
    "mesh-serve",
    "mesh-pool",
    "mesh-canary",
    "mesh-local",
];

/// Checks that each library has no more dependencies than its bill allows.
pub(crate) fn bills() -> anyhow::Result<()> {
    let mut over = Vec::new();
    for &(package, most) in BILLS {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--package", package, "--edges", "normal"])
            .args(["--prefix", "none", "--no-dedupe", "--format", "{p}"])
            .output()?;
        if !output.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        }
        let tree = String::from_utf8(output.stdout)?;
        let mut crates: Vec<_> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        crates.sort_unstable();
        crates.dedup();
        let bill = crates.len() - 1;
        println!("{package:15} {bill:2} of {most}: {}", crates.join(" "));
        if bill > most {
            over.push(package);
        }
    }
    if over.is_empty() {
        Ok(())
    } else {
        bail!("too many dependencies: {}", over.join(", "))
    }
}

/// Checks that the asking commands of `mesh` build without what they ask, nor what it starts.
pub(crate) fn asking_commands() -> anyhow::Result<()> {
    let without = ["mesh-control", "mesh-controller", "mesh-init", "mesh-proxy"];
    let tree = |features: &[&str]| -> anyhow::Result<Vec<&str>> {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--package", "mesh-cli", "--edges", "normal"])
            .args(["--prefix", "none", "--format", "{p}"])
            .args(features)
            .output()?;
        if !output.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        }
        let tree = String::from_utf8(output.stdout)?;
        let packages: BTreeSet<_> = tree
            .lines()
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        let found = without.into_iter().filter(|it| packages.contains(it));
        Ok(found.collect())
    };
    let local = tree(&[])?;
    if local != without {
        bail!("of {without:?}, the feature `local` of mesh-cli has only {local:?}");
    }
    let asking = tree(&["--no-default-features"])?;
    if !asking.is_empty() {
        bail!("mesh-cli depends on {asking:?} without its feature `local`");
    }
    println!(
        "mesh-cli without `local` has none of {}",
        without.join(", ")
    );
    Ok(())
}

/// Public signatures name no type of tokio, prost or hyper, nor any other that is not listed.
///
/// Only the ids that an item mentions, and the paths behind them, are read of rustdoc's JSON, whose
/// form is not stable.
pub(crate) fn foreign_types() -> anyhow::Result<()> {
    let rustdoc = unstable_rustdoc()?;
    let doc = [&["doc", "--quiet", "--no-deps", "--lib"], &TESTED[..]].concat();
    let flags = "-Zunstable-options --output-format json";
    let rustdoc = rustdoc.to_string_lossy();
    run_with(&doc, &[("RUSTDOC", &rustdoc), ("RUSTDOCFLAGS", flags)])?;
    let mut wrong = Vec::new();
    for package in LIBRARIES {
        let library = package.replace("mesh-sdk-", "mesh-").replace('-', "_");
        let path = target_dir()?.join("doc").join(format!("{library}.json"));
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let named = mentioned(&serde_json::from_str(&text)?)?;
        let mut crates = BTreeSet::new();
        for (name, file) in named {
            crates.insert(name.split("::").next().unwrap_or_default().to_owned());
            if !is_allowed(&file, &name) {
                wrong.push(format!("{file} names {name}"));
            }
        }
        let crates: Vec<_> = crates.into_iter().collect();
        println!("{package:15} names types of {}", crates.join(" "));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        bail!("foreign types in public signatures:\n{}", wrong.join("\n"))
    }
}

/// Writes a `rustdoc` that takes unstable options.
///
/// `RUSTC_BOOTSTRAP` for the whole call of cargo would make build scripts run again, and so every
/// dependency compile again.
fn unstable_rustdoc() -> anyhow::Result<PathBuf> {
    let program = target_dir()?.join("unstable-rustdoc");
    fs::write(
        &program,
        "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n",
    )?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

fn is_allowed(file: &str, name: &str) -> bool {
    let within = |outer: &str| {
        let rest = name.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    FOREIGN.iter().any(|outer| within(outer))
        || EXCEPTIONS
            .iter()
            .any(|(files, outer)| file.starts_with(files) && within(outer))
}

/// The foreign items that public items mention, each with the file that does.
fn mentioned(docs: &Value) -> anyhow::Result<BTreeSet<(String, String)>> {
    let index = docs["index"].as_object().context("no `index`")?;
    let paths = docs["paths"].as_object().context("no `paths`")?;
    let mut found = BTreeSet::new();
    for item in index.values().filter(|item| item["crate_id"] == 0) {
        // Every type has `impl<T> From<T> for T` and `Send`; they are not a choice of ours.
        let impl_ = &item["inner"]["impl"];
        if !impl_["blanket_impl"].is_null() || impl_["is_synthetic"] == true {
            continue;
        }
        let file = item["span"]["filename"].as_str().unwrap_or_default();
        walk(&item["inner"], &mut |id| {
            let known = &paths.get(&id.to_string()).unwrap_or(&Value::Null);
            if let Some(path) = known["path"].as_array()
                && known["crate_id"] != 0
            {
                let path: Vec<_> = path.iter().filter_map(Value::as_str).collect();
                found.insert((path.join("::"), file.to_owned()));
            }
        });
    }
    if found.is_empty() {
        bail!("rustdoc's JSON has changed: nothing foreign was found, not even `core`");
    }
    Ok(found)
}

/// Finds every type, trait and re-export: an object with an `id`, and a `path` or a `source`.
fn walk(value: &Value, found: &mut dyn FnMut(&Value)) {
    match value {
        Value::Object(members) => {
            if let Some(id) = members.get("id")
                && (members.contains_key("path") || members.contains_key("source"))
            {
                found(id);
            }
            members.values().for_each(|value| walk(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| walk(value, found)),
        _ => {}
    }
}

/// Two versions of the core crate in one program are an error of the resolver, instead of routes
/// that one half of the program cannot see.
pub(crate) fn one_core() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask stands in the workspace")?;
    let folder = target_dir()?.join("two-cores");
    let program = |cores: &str| -> anyhow::Result<String> {
        let manifest = format!(
            "[package]\nname = \"two-cores\"\nedition = \"2024\"\n[workspace]\n[lib]\npath = \
             \"lib.rs\"\n[dependencies]\nmesh-retry = {{ path = {:?} }}\n{cores}",
            root.join("mesh-retry")
        );
        fs::create_dir_all(folder.join("next"))?;
        fs::write(folder.join("Cargo.toml"), manifest)?;
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock"))?;
        for file in ["lib.rs", "next/lib.rs", "next/build.rs"] {
            fs::write(folder.join(file), "")?;
        }
        fs::write(
            folder.join("next/Cargo.toml"),
            "[package]\nname = \"mesh-sdk-core\"\nversion = \"99.0.0\"\nedition = \"2024\"\n\
             links = \"mesh-core\"\n[lib]\npath = \"lib.rs\"\n",
        )?;
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--offline", "--format-version", "1"])
            .current_dir(&folder)
            .output()?;
        Ok(match output.status.success() {
            true => String::new(),
            false => String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    };
    let one = program("")?;
    if !one.is_empty() {
        bail!("one core was refused: {one}");
    }
    let two = program("next = { package = \"mesh-sdk-core\", path = \"next\" }\n")?;
    if !two.contains("links to the native library `mesh-core`") {
        bail!("two cores were not refused for their `links`: {two}");
    }
    println!("two versions of the core crate: refused by the resolver");
    Ok(())
}

pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let metadata = workspace()?;
    let folder = metadata["target_directory"].as_str();
    Ok(folder.context("no `target_directory`")?.into())
}

/// The packages that have features, and which, as cargo knows them.
pub(crate) fn features() -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let metadata = workspace()?;
    let packages = metadata["packages"].as_array().context("no `packages`")?;
    let mut all = Vec::new();
    for package in packages {
        let name = package["name"].as_str().context("a package without name")?;
        let features = package["features"].as_object();
        let features = features.with_context(|| format!("{name} without `features`"))?;
        if !features.is_empty() {
            all.push((name.to_owned(), features.keys().cloned().collect()));
        }
    }
    if all.is_empty() {
        bail!("no package has a feature");
    }
    Ok(all)
}

/// Returns the workspace's metadata from cargo.
pub(crate) fn workspace() -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()?;
    if !output.status.success() {
        bail!(
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
