//! `mesh split`: TrafficSplits by their services and weights.

mod set;
mod watch;

use crate::{
    args::Global,
    client::Client,
    output::{Align, Format, Table, json},
};
use anyhow::Result;
use mesh_api::ManifestKind;
use mesh_manifest::Weight;
use serde_json::Value;
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Show or change how the requests of a service are split
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh split list\n  mesh split set books books=95 books-v2=5")]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
#[command(disable_help_subcommand = true)]
enum Action {
    List(ListArgs),
    Set(set::Args),
    Watch(watch::Args),
}

/// Print every split with its leaves, their weights and shares
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  mesh split list")]
struct ListArgs {
    /// Look at every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Output format: table or json.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    match args.action {
        Action::List(args) => list(&args, global).await,
        Action::Set(args) => set::run(args, global).await,
        Action::Watch(args) => watch::run(&args, global).await,
    }
}

async fn list(args: &ListArgs, global: &Global) -> Result<ExitCode> {
    let format: Format = args.output.parse().map_err(crate::output::Refusal::Usage)?;
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let of = (!args.all_namespaces).then_some(&*namespace);
    let splits = fetch(&client, of).await?;
    if splits.is_empty() && format != Format::Json {
        eprintln!("No TrafficSplits found.");
        return Ok(ExitCode::SUCCESS);
    }
    let text = match format {
        Format::Json => json(&splits)?,
        _ => table(&splits, args.all_namespaces).to_string(),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// A split as it is printed; in JSON an interface.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Split {
    namespace: String,
    name: String,
    /// The apex.
    service: String,
    leaves: Vec<Leaf>,
    /// `Accepted`, or the reason of the condition that is not met.
    status: String,
    message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, serde::Serialize)]
struct Leaf {
    service: String,
    /// As it is written: `900m`.
    weight: String,
    /// Between 0 and 1.
    share: f64,
}

async fn fetch(client: &Client, namespace: Option<&str>) -> Result<Vec<Split>> {
    let list = client
        .resources(ManifestKind::TrafficSplit, namespace, None)
        .await?;
    for rejected in &list.rejected {
        eprintln!("Warning: {rejected}");
    }
    Ok(list.items.iter().map(Split::of).collect())
}

impl Split {
    fn of(manifest: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let backends = manifest["spec"]["backends"].as_array();
        let backends = backends.map_or(&[][..], Vec::as_slice);
        let weights = backends.iter().map(|backend| {
            let weight = &backend["weight"];
            weight
                .as_str()
                .map_or_else(|| weight.to_string(), str::to_owned)
        });
        let weights: Vec<String> = weights.collect();
        let milli = |weight: &String| weight.parse::<Weight>().unwrap_or_default().milli();
        let total: u64 = weights.iter().map(milli).sum();
        let leaves = backends.iter().zip(&weights).map(|(backend, weight)| Leaf {
            service: text(&backend["service"]),
            weight: weight.clone(),
            share: milli(weight) as f64 / total.max(1) as f64,
        });
        let leaves = leaves.collect();
        let conditions = manifest["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let unmet = conditions.find(|condition| condition["status"] != "True");
        Self {
            namespace: text(&manifest["metadata"]["namespace"]),
            name: text(&manifest["metadata"]["name"]),
            service: text(&manifest["spec"]["service"]),
            leaves,
            status: unmet.map_or_else(|| "Accepted".to_owned(), |it| text(&it["reason"])),
            message: unmet.map(|it| text(&it["message"])),
        }
    }

    /// The leaves as `mesh split set` takes them.
    fn weights(&self) -> String {
        let leaves = self.leaves.iter();
        let leaves = leaves.map(|leaf| format!("{}={}", leaf.service, leaf.weight));
        leaves.collect::<Vec<_>>().join(" ")
    }
}

fn table(splits: &[Split], with_namespace: bool) -> Table {
    let mut columns = Vec::new();
    columns.extend(with_namespace.then_some(("NAMESPACE", Align::Left)));
    columns.extend(["NAME", "APEX", "LEAF"].map(|name| (name, Align::Left)));
    columns.extend(["WEIGHT", "SHARE"].map(|name| (name, Align::Right)));
    columns.push(("STATUS", Align::Left));
    let mut table = Table::new(columns);
    for split in splits {
        for leaf in &split.leaves {
            let mut cells = Vec::new();
            cells.extend(with_namespace.then(|| split.namespace.clone()));
            cells.extend([
                split.name.clone(),
                split.service.clone(),
                leaf.service.clone(),
                leaf.weight.clone(),
                format!("{:.1}%", leaf.share * 100.0),
                split.status.clone(),
            ]);
            table.row(cells);
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn split(reason: Option<&str>) -> Split {
        let met = |kind, is_met| {
            serde_json::json!({"type": kind, "status": is_met,
            "reason": reason.unwrap_or(kind), "message": "why"})
        };
        Split::of(&serde_json::json!({
            "metadata": {"name": "canary", "namespace": "shop"},
            "spec": {"service": "books", "backends": [
                {"service": "books", "weight": "900m"}, {"service": "v2", "weight": "100m"},
                {"service": "v3", "weight": 1}]},
            "status": {"conditions": [met("Accepted", "True"),
                met("ResolvedRefs", if reason.is_some() { "False" } else { "True" })]},
        }))
    }

    #[test]
    fn a_split_has_a_row_for_each_leaf_with_its_share_and_its_condition() {
        assert_eq!(
            table(&[split(None)], false).to_string(),
            "NAME     APEX    LEAF    WEIGHT   SHARE   STATUS\n\
             canary   books   books     900m   45.0%   Accepted\n\
             canary   books   v2        100m    5.0%   Accepted\n\
             canary   books   v3           1   50.0%   Accepted\n"
        );
        let unmet = split(Some("BackendNotFound"));
        assert_eq!(unmet.status, "BackendNotFound");
        assert_eq!(unmet.message.as_deref(), Some("why"));
        assert_eq!(unmet.weights(), "books=900m v2=100m v3=1");
    }
}
