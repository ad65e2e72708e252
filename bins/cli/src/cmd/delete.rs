//! `mesh delete`.

use super::{
    apply,
    manifest::{self, Key},
};
use crate::{args::Global, client::Client, output::Refusal};
use anyhow::{Result, bail};
use mesh_api::ManifestKind;
use mesh_manifest::yaml;
use serde::Deserialize;
use std::{
    collections::HashSet,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Delete resources
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh delete sp/books\n  mesh delete -f profiles/")]
pub(crate) struct Args {
    /// The resources, as KIND/NAME or KIND NAME
    #[arg(value_name = "KIND/NAME", required_unless_present = "filename")]
    resources: Vec<String>,
    /// The manifests of what to delete
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    filename: Vec<PathBuf>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let named = named(&args.resources)?;
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let key = |(kind, name)| Key {
        kind,
        namespace: namespace.clone(),
        name: manifest::name(kind, name, &namespace),
    };
    let mut keys: Vec<_> = named.into_iter().map(key).collect();
    for source in apply::read(&args.filename)? {
        let found = in_manifest(&source, &namespace)?;
        if found.is_empty() {
            bail!("{}: there is no resource in this document", source.name);
        }
        keys.extend(found);
    }
    let mut seen = HashSet::new();
    keys.retain(|key| seen.insert(key.clone()));
    // Nothing is deleted when one of them is not there.
    for key in &keys {
        let list = client
            .resources(key.kind, Some(&key.namespace), Some(&key.name))
            .await?;
        if list.items.is_empty() {
            bail!("{key} not found in the namespace {}", key.namespace);
        }
    }
    let mut out = io::stdout().lock();
    for key in &keys {
        client
            .delete_resource(key.kind, &key.namespace, &key.name)
            .await?;
        writeln!(out, "{key} deleted")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `sp/a sp/b`, or `sp a b`.
fn named(resources: &[String]) -> Result<Vec<(ManifestKind, &str)>> {
    if let [kind, names @ ..] = resources
        && !kind.contains('/')
    {
        let kind = ManifestKind::parse(kind)?;
        if names.is_empty() {
            let kind = kind.names().short;
            return Err(
                Refusal::Usage(format!("name the resource: mesh delete {kind}/NAME")).into(),
            );
        }
        return Ok(names.iter().map(|name| (kind, name.as_str())).collect());
    }
    let resources = resources.iter();
    resources
        .map(|resource| manifest::kind_and_name(resource, "mesh delete sp/books"))
        .collect()
}

fn in_manifest(source: &apply::Source, namespace: &str) -> Result<Vec<Key>> {
    #[derive(Deserialize)]
    struct Head {
        kind: String,
        metadata: Metadata,
    }
    #[derive(Deserialize)]
    struct Metadata {
        name: String,
        namespace: Option<String>,
    }
    let documents = yaml::documents::<Head>(&source.text, &source.name)?;
    let keys = documents.into_iter().map(|document| {
        let Head { kind, metadata } = document.value;
        Ok(Key {
            kind: ManifestKind::parse(&kind)?,
            namespace: metadata.namespace.unwrap_or_else(|| namespace.to_owned()),
            name: metadata.name,
        })
    });
    keys.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_named_in_both_ways() {
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let sp = ManifestKind::ServiceProfile;
        assert_eq!(
            named(&words("sp/a sp/b.c")).unwrap(),
            [(sp, "a"), (sp, "b.c")]
        );
        assert_eq!(named(&words("sp a")).unwrap(), [(sp, "a")]);
        assert!(named(&words("sp")).is_err());
        assert!(named(&words("xy/a")).is_err());
    }
}
