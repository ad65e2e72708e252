//! The programs of a folder, from the files that say how to start them.

use super::{
    compose,
    draft::{Command, Draft, Workload},
};
use anyhow::{Context as _, Result};
use serde_json::Value;
use std::{fs, path::Path, process};

/// File names of Docker Compose, in its order of preference.
const COMPOSE: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// Drafts a mesh.yaml for `folder`.
///
/// # Errors
///
/// A file cannot be read, or is not what its name says.
pub(super) fn look(folder: &Path) -> Result<Draft> {
    for name in COMPOSE {
        if let Some(text) = read(folder, name)? {
            return compose::draft(&text, name, folder);
        }
    }
    if let Some(text) = read(folder, "Procfile")? {
        return Ok(procfile(&text));
    }
    let mut draft = Draft::default();
    let mut sources = Vec::new();
    let mut builds = Vec::new();
    if let Some(text) = read(folder, "package.json")? {
        node(&mut draft, &text)?;
        sources.push("package.json");
    }
    if let Some(text) = read(folder, "go.mod")? {
        builds.push(go(&mut draft, &text, folder));
        sources.push("go.mod");
    }
    if folder.join("Cargo.toml").exists() {
        rust(&mut draft, folder)?;
        builds.push("cargo build".to_owned());
        sources.push("Cargo.toml");
    }
    if sources.is_empty() {
        let files = "a compose file, Procfile, package.json, go.mod or Cargo.toml";
        draft.notes.push(format!("the folder has no {files}"));
        sources.push("nothing");
    }
    draft.source = sources.join(", ");
    draft.build = (!builds.is_empty()).then(|| builds.join(" && "));
    Ok(draft)
}

fn read(folder: &Path, name: &str) -> Result<Option<String>> {
    let file = folder.join(name);
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file);
    Ok(Some(text.with_context(|| {
        format!("cannot read {}", file.display())
    })?))
}

/// `NAME: COMMAND` on each line, for a shell. Programs read `$PORT`.
fn procfile(text: &str) -> Draft {
    let mut draft = Draft {
        source: "Procfile".to_owned(),
        ..Draft::default()
    };
    let mut port = 8080;
    for line in text.lines().map(str::trim) {
        let Some((name, command)) = line.split_once(':').filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let command = command.trim();
        let serves = name == "web" || command.contains("$PORT") || command.contains("${PORT");
        draft.add(Workload {
            name: name.to_owned(),
            command: Command::Shell(command.to_owned()),
            port: serves.then_some(port),
            ..Workload::default()
        });
        port += u16::from(serves);
    }
    draft
}

fn node(draft: &mut Draft, text: &str) -> Result<()> {
    let package: Value = serde_json::from_str(text).context("package.json is no JSON")?;
    let name = package["name"].as_str().unwrap_or("app");
    let scripts = &package["scripts"];
    let mut known = ["start", "dev", "serve"].into_iter();
    let script = known.find(|script| scripts[script].is_string());
    let command = match script {
        Some(script) => ["npm", "run", script].map(str::to_owned).into(),
        None => vec![
            "node".to_owned(),
            package["main"].as_str().unwrap_or("index.js").to_owned(),
        ],
    };
    draft.add(Workload {
        name: name.rsplit('/').next().unwrap_or(name).to_owned(),
        command: Command::List(command),
        port: Some(3000),
        ..Workload::default()
    });
    Ok(())
}

/// Adds the programs of a Go module, and returns the command that builds them.
fn go(draft: &mut Draft, text: &str, folder: &Path) -> String {
    let module = text.lines().find_map(|line| line.strip_prefix("module "));
    let module = module.unwrap_or("app").trim().trim_matches('"');
    // The last part of a path may be a version.
    let is_version = |part: &&str| {
        let digits = part.strip_prefix('v').unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let name = module.rsplit('/').find(|part| !is_version(part));
    let mut names: Vec<_> = fs::read_dir(folder.join("cmd"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let (what, names) = match names.is_empty() {
        true => (".", vec![name.unwrap_or("app").to_owned()]),
        false => ("./cmd/...", names),
    };
    for name in names {
        draft.add(Workload {
            command: Command::List(vec![format!("bin/{name}")]),
            name,
            port: Some(8080),
            ..Workload::default()
        });
    }
    format!("mkdir -p bin && go build -o bin/ {what}")
}

/// Adds the programs of a Cargo package or workspace, which Cargo names.
fn rust(draft: &mut Draft, folder: &Path) -> Result<()> {
    let output = process::Command::new("cargo")
        .args([
            "metadata",
            "--no-deps",
            "--format-version",
            "1",
            "--offline",
        ])
        .current_dir(folder)
        .output()
        .context("Cargo.toml: cannot start cargo to ask for the programs")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("Cargo.toml: cargo metadata: {}", said.trim());
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).context("reading the output of cargo metadata")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    for target in targets {
        let mut kinds = target["kind"].as_array().into_iter().flatten();
        let Some(name) = target["name"]
            .as_str()
            .filter(|_| kinds.any(|kind| kind == "bin"))
        else {
            continue;
        };
        draft.add(Workload {
            name: name.to_owned(),
            command: Command::List(vec![format!("target/debug/{name}")]),
            port: Some(8080),
            ..Workload::default()
        });
    }
    Ok(())
}
