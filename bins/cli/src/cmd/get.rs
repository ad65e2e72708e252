//! `mesh get`.

use super::manifest;
use crate::{args::Global, client::Client, output::refuse};
use anyhow::Result;
use clap::ValueEnum;
use mesh_api::ManifestKind;
use mesh_manifest::yaml;
use serde_json::Value;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Print resources
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh get sp\n  mesh get sp books -o yaml\n  mesh get ts")]
pub(crate) struct Args {
    /// The kind, or KIND/NAME; kinds are cd (Canary), sp (ServiceProfile) and ts (TrafficSplit)
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
    let within = (!args.all_namespaces).then_some(namespace.as_str());
    let list = client.resources(kind, within, name.as_deref()).await?;
    for rejected in &list.rejected {
        eprintln!("Warning: {rejected}");
    }
    let text = match args.output {
        None if list.items.is_empty() => {
            eprintln!("No resources found in {namespace} namespace.");
            return Ok(ExitCode::SUCCESS);
        }
        None => table(kind, &list.items, args.all_namespaces),
        Some(format) => print(&list.items, format, name.is_some())?,
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A column of a table: its heading, whether it is of numbers, and the cell of a resource.
type Column = (&'static str, bool, fn(&Value) -> String);

fn table(kind: ManifestKind, items: &[Value], with_namespace: bool) -> String {
    let columns: &[Column] = match kind {
        ManifestKind::Canary => &[
            ("NAMESPACE", false, |item| {
                text(&item["metadata"]["namespace"])
            }),
            ("NAME", false, |item| text(&item["metadata"]["name"])),
            ("STATUS", false, |item| text(&item["status"]["phase"])),
            ("WEIGHT", true, |item| {
                let weight = item["status"]["canaryWeight"].as_u64();
                weight.map_or("-".to_owned(), |weight| weight.to_string())
            }),
            ("LASTTRANSITIONTIME", false, |item| {
                text(&item["status"]["lastTransitionTime"])
            }),
        ],
        ManifestKind::ServiceProfile => &[
            ("NAMESPACE", false, |item| {
                text(&item["metadata"]["namespace"])
            }),
            ("NAME", false, |item| text(&item["metadata"]["name"])),
            ("ROUTES", true, |item| {
                let routes = item["spec"]["routes"].as_array();
                routes.map_or(0, Vec::len).to_string()
            }),
        ],
        ManifestKind::TrafficSplit => &[
            ("NAMESPACE", false, |item| {
                text(&item["metadata"]["namespace"])
            }),
            ("NAME", false, |item| text(&item["metadata"]["name"])),
            ("SERVICE", false, |item| text(&item["spec"]["service"])),
            ("BACKENDS", false, backends),
            ("STATUS", false, status),
        ],
    };
    let columns = &columns[usize::from(!with_namespace)..];
    let mut rows = vec![columns.iter().map(|column| column.0.to_owned()).collect()];
    rows.extend(items.iter().map(|item| {
        let cells = columns.iter().map(|column| column.2(item));
        cells.collect::<Vec<_>>()
    }));
    let width = |place: usize| rows.iter().map(|row| row[place].len()).max().unwrap_or(0);
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let lines = rows.iter().map(|row| {
        let cells = row.iter().enumerate().map(|(place, cell)| {
            let width = widths[place];
            match columns[place].1 {
                true => format!("{cell:>width$}"),
                false => format!("{cell:width$}"),
            }
        });
        let line = cells.collect::<Vec<_>>().join("   ");
        format!("{}\n", line.trim_end())
    });
    lines.collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("-").to_owned()
}

/// The backends of a split as `mesh split set` takes them: `books=900m errors=100m`.
fn backends(item: &Value) -> String {
    let backends = item["spec"]["backends"].as_array();
    let backends = backends.into_iter().flatten().map(|backend| {
        let weight = &backend["weight"];
        let weight = weight
            .as_str()
            .map_or_else(|| weight.to_string(), str::to_owned);
        format!("{}={weight}", text(&backend["service"]))
    });
    backends.collect::<Vec<_>>().join(" ")
}

/// The reason of the first condition that is not met, else of the first.
fn status(item: &Value) -> String {
    let conditions = item["status"]["conditions"].as_array();
    let conditions = conditions.map_or(&[][..], Vec::as_slice);
    let unmet = conditions.iter().find(|it| it["status"] != "True");
    let decisive = unmet.or_else(|| conditions.first());
    decisive.map_or_else(|| "-".to_owned(), |it| text(&it["reason"]))
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
            table(ManifestKind::ServiceProfile, &items, false),
            "NAME         ROUTES\nbooks.shop        2\na                 2\n"
        );
        assert!(table(ManifestKind::ServiceProfile, &items, true).starts_with("NAMESPACE   NAME "));
    }

    #[test]
    fn splits_are_a_table_of_backends_and_conditions() {
        let split = |name: &str, reason: &str| {
            serde_json::json!({
                "metadata": { "name": name, "namespace": "shop" },
                "spec": { "service": "books", "backends": [
                    { "service": "books", "weight": "900m" }, { "service": "v2", "weight": 1 }] },
                "status": { "conditions": [
                    { "type": "Accepted", "status": "True", "reason": "Accepted" },
                    { "type": "ResolvedRefs", "status": if reason == "Accepted" { "True" } else { "False" },
                      "reason": reason }] },
            })
        };
        let items = [split("a", "Accepted"), split("b-split", "BackendNotFound")];
        assert_eq!(
            table(ManifestKind::TrafficSplit, &items, false),
            "NAME      SERVICE   BACKENDS          STATUS\n\
             a         books     books=900m v2=1   Accepted\n\
             b-split   books     books=900m v2=1   BackendNotFound\n"
        );
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
