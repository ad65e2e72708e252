//! Docker Compose files: their services are workloads if a command is known.

use super::draft::{Command, Draft, Workload};
use crate::cmd::run::name_of;
use anyhow::Result;
use mesh_manifest::yaml;
use serde_json::{Map, Value};
use std::path::Path;

/// Drafts a mesh.yaml from the compose file `name` with this `text`.
///
/// # Errors
///
/// It is no YAML.
pub(super) fn draft(text: &str, name: &str, folder: &Path) -> Result<Draft> {
    let file: Value = yaml::from_str(text, name)?;
    let mut draft = Draft {
        source: name.to_owned(),
        ..Draft::default()
    };
    let none = Map::new();
    let services = file["services"].as_object().unwrap_or(&none);
    let has_command = |service: &Value| command(&service["command"]).is_some();
    for (name, service) in services {
        let Some(command) = command(&service["command"]) else {
            draft.notes.push(match service["image"].as_str() {
                Some(image) => format!(
                    "`{name}` is the image {image}: run it with Docker, or give it a command here"
                ),
                None => format!("`{name}` has no command; give it the one of its Dockerfile"),
            });
            continue;
        };
        let (port, listen) = ports(service);
        let depends_on = names(&service["depends_on"]).into_iter();
        let depends_on = depends_on.filter(|on| services.get(on).is_some_and(has_command));
        draft.add(Workload {
            name: name.clone(),
            command,
            dir: dir(&service["build"], folder),
            port,
            listen,
            env: environment(&service["environment"]),
            depends_on: depends_on.map(|on| name_of(&on)).collect(),
        });
    }
    Ok(draft)
}

fn command(command: &Value) -> Option<Command> {
    match command {
        Value::String(line) if !line.trim().is_empty() => Some(Command::Shell(line.clone())),
        Value::Array(list) if !list.is_empty() => {
            Some(Command::List(list.iter().map(text).collect()))
        }
        _ => None,
    }
}

/// The port that clients call and the one that the program listens on: the container's, which
/// `ports` or `expose` name. `8080:80` is a port of the host and one of the container.
fn ports(service: &Value) -> (Option<u16>, Option<u16>) {
    let written = [&service["ports"][0], &service["expose"][0]];
    let inside = written.into_iter().find_map(|port| {
        let port = match port {
            Value::Object(long) => text(&long["target"]),
            short => text(short),
        };
        let port = port.split('/').next()?.rsplit(':').next()?.parse::<u16>();
        port.ok().filter(|port| *port > 0)
    });
    (inside, inside)
}

/// The folder that the image is built from, if it is there.
fn dir(build: &Value, folder: &Path) -> Option<String> {
    let context = build.as_str().or_else(|| build["context"].as_str())?;
    let is_there = context != "." && folder.join(context).is_dir();
    is_there.then(|| context.to_owned())
}

/// A list of `NAME=VALUE`, or a mapping. `PORT` is given by the mesh.
fn environment(written: &Value) -> Vec<(String, String)> {
    let pairs: Vec<(String, String)> = match written {
        Value::Array(list) => {
            let lines = list.iter().filter_map(Value::as_str);
            let pairs = lines.filter_map(|line| line.split_once('='));
            pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect()
        }
        Value::Object(map) => {
            let set = map.iter().filter(|(_, value)| !value.is_null());
            set.map(|(name, value)| (name.clone(), text(value)))
                .collect()
        }
        _ => Vec::new(),
    };
    pairs
        .into_iter()
        .filter(|(name, _)| name != "PORT")
        .collect()
}

/// A list of names, or a mapping whose keys they are.
fn names(written: &Value) -> Vec<String> {
    match written {
        Value::Array(list) => list.iter().map(text).collect(),
        Value::Object(map) => map.keys().cloned().collect(),
        _ => Vec::new(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
