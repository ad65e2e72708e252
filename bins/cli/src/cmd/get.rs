//! `mesh get`.

use super::manifest;
use crate::{args::Global, client::Client, output::refuse};
use anyhow::Result;
use clap::ValueEnum;
use mesh_api::{ManifestKind, ManifestList};
use mesh_manifest::yaml;
use serde_json::Value;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Print resources
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh get sp\n  mesh get sp books -o yaml")]
pub(crate) struct Args {
    /// The kind, or KIND/NAME; kinds are sp (ServiceProfile)
    kind: String,
    /// The one to print; without it, all
    name: Option<String>,
    /// Look at every namespace
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Print whole manifests instead of a table
    #[arg(short = 'o', long, value_name = "FORMAT")]
    output: Option<Format>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    if args.all_namespaces && global.namespace.is_some() {
        return refuse("--all-namespaces and --namespace flags are mutually exclusive");
    }
    let (kind, name) = match (args.kind.contains('/'), args.name.as_deref()) {
        (true, Some(_)) => return refuse("name the resource as KIND/NAME or as KIND NAME"),
        (true, None) => {
            let (kind, name) = manifest::kind_and_name(&args.kind, "mesh get sp/books")?;
            (kind, Some(name))
        }
        (false, name) => (ManifestKind::parse(&args.kind)?, name),
    };
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let name = name.map(|name| manifest::name(kind, name, &namespace));
    let list = fetch(
        &client,
        kind,
        (!args.all_namespaces).then_some(namespace.as_str()),
        name.as_deref(),
    )
    .await?;
    for rejected in &list.rejected {
        eprintln!("Warning: {rejected}");
    }
    let text = match args.output {
        None if list.items.is_empty() => {
            eprintln!("No resources found in {namespace} namespace.");
            return Ok(ExitCode::SUCCESS);
        }
        None => table(&list.items, args.all_namespaces),
        Some(format) => print(&list.items, format, name.is_some())?,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Asks the controller for resources.
pub(crate) async fn fetch(
    client: &Client,
    kind: ManifestKind,
    namespace: Option<&str>,
    name: Option<&str>,
) -> Result<ManifestList<Value>> {
    client.get_json(&path(kind, namespace, name), &[]).await
}

/// Where the API has resources.
pub(crate) fn path(kind: ManifestKind, namespace: Option<&str>, name: Option<&str>) -> String {
    let mut path = format!("{}/{}", ManifestKind::PATH, kind.names().plural);
    for part in [namespace, name].into_iter().flatten() {
        path.push('/');
        crate::client::encode(&mut path, part);
    }
    path
}

fn table(items: &[Value], with_namespace: bool) -> String {
    let field = |item: &Value, name: &str| {
        let value = item["metadata"][name].as_str();
        value.unwrap_or("-").to_owned()
    };
    let routes = |item: &Value| item["spec"]["routes"].as_array().map_or(0, Vec::len);
    let mut rows = vec![(
        "NAMESPACE".to_owned(),
        "NAME".to_owned(),
        "ROUTES".to_owned(),
    )];
    rows.extend(items.iter().map(|item| {
        let count = routes(item).to_string();
        (field(item, "namespace"), field(item, "name"), count)
    }));
    let wide = |of: fn(&(String, String, String)) -> &String| {
        rows.iter().map(|row| of(row).len()).max().unwrap_or(0)
    };
    let (space, name, count) = (wide(|row| &row.0), wide(|row| &row.1), wide(|row| &row.2));
    let lines = rows.iter().map(|row| {
        let line = format!("{:name$}   {:>count$}", row.1, row.2);
        if with_namespace {
            format!("{:space$}   {line}\n", row.0)
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// Several are documents in YAML, which is what `mesh apply` takes, and a list in JSON.
fn print(items: &[Value], format: Format, one: bool) -> Result<String> {
    Ok(match (format, items) {
        (Format::Yaml, items) => {
            let texts: Result<Vec<_>, _> = items.iter().map(yaml::to_string).collect();
            texts?.join("---\n")
        }
        (Format::Json, [item]) if one => serde_json::to_string_pretty(item)? + "\n",
        (Format::Json, items) => {
            let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
            serde_json::to_string_pretty(&list)? + "\n"
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str) -> Value {
        serde_json::json!({ "kind": "ServiceProfile", "metadata": { "name": name, "namespace": "shop" },
            "spec": { "routes": [{}, {}] } })
    }

    #[test]
    fn resources_are_a_table_with_names_to_the_left_and_numbers_to_the_right() {
        let items = [item("books.shop"), item("a")];
        assert_eq!(
            table(&items, false),
            "NAME         ROUTES\nbooks.shop        2\na                 2\n"
        );
        assert!(table(&items, true).starts_with("NAMESPACE   NAME "));
    }

    #[test]
    fn several_are_documents_in_yaml_and_a_list_in_json() {
        let items = [item("a"), item("b")];
        let yaml = print(&items, Format::Yaml, false).unwrap();
        assert_eq!(yaml.matches("kind: ServiceProfile").count(), 2);
        assert_eq!(yaml.matches("---\n").count(), 1);
        let json = print(&items, Format::Json, false).unwrap();
        assert!(json.contains(r#""kind": "List""#));
        let one = print(&[item("a")], Format::Json, true).unwrap();
        assert!(
            one.starts_with("{\n  \"kind\": \"ServiceProfile\""),
            "{one}"
        );
    }
}
