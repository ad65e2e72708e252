//! `mesh stat`.

use crate::{
    args::Global,
    client::Client,
    output::{Align, Format, Refusal, Table, bytes_per_second, cell, json, ms, percent, rps},
    resources::{self, peer, resources},
};
use anyhow::Result;
use mesh_api::{Kind, Namespaces, Side, StatRequest, StatRow, StatTable};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    process::ExitCode,
};

/// Show how resources are doing: success, requests a second, latency
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh stat deploy
  mesh stat deploy/webapp po -o wide
  mesh stat deploy --to svc/authors -t 5m")]
pub(crate) struct Args {
    /// Resources to show: TYPE, TYPE NAME, TYPE/NAME or all; types are deploy, po, ns, svc, ts and au.
    #[arg(value_name = "RESOURCE")]
    resources: Vec<String>,
    /// Look at every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Over how long.
    #[arg(short = 't', long, value_name = "DURATION", default_value = "1m")]
    time_window: String,
    /// Only what they send to this resource.
    #[arg(long, value_name = "RESOURCE")]
    to: Option<String>,
    /// The namespace of --to, if it is another.
    #[arg(long, value_name = "NAMESPACE")]
    to_namespace: Option<String>,
    /// Only what they get from this resource.
    #[arg(long, value_name = "RESOURCE")]
    from: Option<String>,
    /// The namespace of --from, if it is another.
    #[arg(long, value_name = "NAMESPACE")]
    from_namespace: Option<String>,
    /// Also show what has no sidecar.
    #[arg(long)]
    unmeshed: bool,
    /// Output format: table, wide or json.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let (format, request) = args.check(global)?;
    let tables = Client::find(global)?.stat(&request).await?;
    if format != Format::Json && tables.iter().all(|table| table.rows.is_empty()) {
        eprintln!("No traffic found.");
        return Ok(ExitCode::SUCCESS);
    }
    let text = render(&tables, format, args.all_namespaces)?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// The format and the question, or what is wrong with it.
    fn check(&self, global: &Global) -> Result<(Format, StatRequest), Refusal> {
        let format = self.output.parse::<Format>()?;
        if self.to.is_some() && self.from.is_some() {
            return Err("--to and --from flags are mutually exclusive".into());
        }
        if self.to_namespace.is_some() && self.from_namespace.is_some() {
            let reason = "--to-namespace and --from-namespace flags are mutually exclusive";
            return Err(reason.into());
        }
        if self.all_namespaces && global.namespace.is_some() {
            let reason = "--all-namespaces and --namespace flags are mutually exclusive";
            return Err(reason.into());
        }
        let resources = resources(&self.resources)?;
        if self.all_namespaces && resources.iter().any(|resource| resource.name.is_some()) {
            let reason = "stats for a resource cannot be retrieved by name across all namespaces";
            return Err(reason.into());
        }
        let window = resources::window(&self.time_window)?;
        let to = peer("to", self.to.as_deref(), self.to_namespace.as_deref())?;
        let from = peer("from", self.from.as_deref(), self.from_namespace.as_deref())?;
        let request = StatRequest {
            resources,
            namespaces: match self.all_namespaces {
                true => Namespaces::All,
                false => Namespaces::of(global.namespace.clone()),
            },
            side: to.map(Side::To).or(from.map(Side::From)),
            window,
            unmeshed: self.unmeshed,
        };
        Ok((format, request))
    }
}

fn render(tables: &[StatTable], format: Format, all_namespaces: bool) -> Result<String> {
    if format == Format::Json {
        let rows: Vec<_> = tables.iter().flat_map(|table| &table.rows).collect();
        return json(&rows);
    }
    let is_alone = tables.len() == 1;
    let tables = tables.iter().filter(|table| !table.rows.is_empty());
    let tables = tables.map(|of| table(of, format, all_namespaces, is_alone).to_string());
    Ok(tables.collect::<Vec<_>>().join("\n"))
}

fn table(of: &StatTable, format: Format, all_namespaces: bool, is_alone: bool) -> Table {
    if of.kind == Kind::TrafficSplit {
        return splits(of, all_namespaces, is_alone);
    }
    let namespaces: BTreeSet<_> = of.rows.iter().map(|row| &row.namespace).collect();
    let is_namespaced = of.kind != Kind::Namespace && (all_namespaces || namespaces.len() > 1);
    let is_pod = of.kind == Kind::Pod;

    let right = |name| (name, Align::Right);
    let mut columns = Vec::new();
    columns.extend(is_namespaced.then_some(("NAMESPACE", Align::Left)));
    columns.push(("NAME", Align::Left));
    columns.extend(is_pod.then_some(right("STATUS")));
    columns.extend(["MESHED", "SUCCESS", "RPS"].map(right));
    columns.extend(["LATENCY_P50", "LATENCY_P95", "LATENCY_P99", "TCP_CONN"].map(right));
    if format == Format::Wide {
        columns.extend(["READ_BYTES/SEC", "WRITE_BYTES/SEC"].map(right));
    }
    let mut table = Table::new(columns);
    for row in &of.rows {
        let mut cells = Vec::new();
        cells.extend(is_namespaced.then(|| row.namespace.clone()));
        cells.push(match is_alone {
            true => row.name.clone(),
            false => format!("{}/{}", of.kind.short(), row.name),
        });
        cells.extend(is_pod.then(|| cell(row.status.clone(), |status| status)));
        cells.extend(numbers(row));
        if format == Format::Wide {
            cells.push(cell(row.tcp_read_bytes_rate, bytes_per_second));
            cells.push(cell(row.tcp_write_bytes_rate, bytes_per_second));
        }
        table.row(cells);
    }
    table
}

/// A row for each leaf of a split.
fn splits(of: &StatTable, all_namespaces: bool, is_alone: bool) -> Table {
    let mut columns = Vec::new();
    columns.extend(all_namespaces.then_some(("NAMESPACE", Align::Left)));
    columns.extend(["NAME", "APEX", "LEAF"].map(|name| (name, Align::Left)));
    let numbers = [
        "WEIGHT",
        "SUCCESS",
        "RPS",
        "LATENCY_P50",
        "LATENCY_P95",
        "LATENCY_P99",
    ];
    columns.extend(numbers.map(|name| (name, Align::Right)));
    let mut table = Table::new(columns);
    for row in &of.rows {
        let mut cells = Vec::new();
        cells.extend(all_namespaces.then(|| row.namespace.clone()));
        cells.push(match is_alone {
            true => row.name.clone(),
            false => format!("{}/{}", of.kind.short(), row.name),
        });
        for text in [&row.apex, &row.leaf, &row.weight] {
            cells.push(cell(text.clone(), |text| text));
        }
        let [_, success, rps, p50, p95, p99, _] = self::numbers(row);
        cells.extend([success, rps, p50, p95, p99]);
        table.row(cells);
    }
    table
}

fn numbers(row: &StatRow) -> [String; 7] {
    [
        cell(row.meshed.clone(), |meshed| meshed),
        cell(row.success, percent),
        cell(row.rps, rps),
        cell(row.latency.latency_ms_p50, ms),
        cell(row.latency.latency_ms_p95, ms),
        cell(row.latency.latency_ms_p99, ms),
        cell(row.tcp_open_connections, |open| open.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parsed;
    use crate::output::golden;
    use mesh_api::Latency;

    fn check(line: &str) -> Result<(Format, StatRequest), Refusal> {
        let (args, global) = parsed::<Args>(line);
        args.check(&global)
    }

    fn row(namespace: &str, name: &str) -> StatRow {
        StatRow {
            namespace: namespace.to_owned(),
            kind: "deployment".to_owned(),
            name: name.to_owned(),
            meshed: Some("1/1".to_owned()),
            ..StatRow::default()
        }
    }

    fn authors() -> StatRow {
        StatRow {
            success: Some(0.714_285),
            rps: Some(5.3),
            latency: Latency {
                latency_ms_p50: Some(3),
                latency_ms_p95: Some(12),
                latency_ms_p99: Some(19),
            },
            tcp_open_connections: Some(8),
            tcp_read_bytes_rate: Some(1234.56),
            tcp_write_bytes_rate: Some(2.0),
            ..row("booksapp", "authors")
        }
    }

    fn deployments(rows: Vec<StatRow>) -> StatTable {
        StatTable {
            kind: Kind::Deployment,
            rows,
        }
    }

    #[test]
    fn every_shape_is_as_expected() {
        let one = [deployments(vec![authors(), row("booksapp", "traffic")])];
        golden("stat.txt", &render(&one, Format::Table, false).unwrap());
        golden("stat_wide.txt", &render(&one, Format::Wide, false).unwrap());
        golden("stat.json", &render(&one, Format::Json, false).unwrap());
        golden(
            "stat_all_namespaces.txt",
            &render(&one, Format::Table, true).unwrap(),
        );

        let pod = StatRow {
            name: "authors-0".to_owned(),
            status: Some("Running".to_owned()),
            ..authors()
        };
        let service = StatRow {
            meshed: None,
            ..authors()
        };
        let table = |kind, row| StatTable {
            kind,
            rows: vec![row],
        };
        let several = [
            one[0].clone(),
            table(Kind::Pod, pod),
            table(Kind::Service, service),
        ];
        golden(
            "stat_several_kinds.txt",
            &render(&several, Format::Table, false).unwrap(),
        );
    }

    #[test]
    fn a_split_has_a_row_for_each_leaf() {
        let leaf = |leaf: &str, weight: &str, row: StatRow| StatRow {
            name: "error-split".to_owned(),
            apex: Some("books".to_owned()),
            leaf: Some(leaf.to_owned()),
            weight: Some(weight.to_owned()),
            ..row
        };
        let table = StatTable {
            kind: Kind::TrafficSplit,
            rows: vec![
                leaf("books", "900m", authors()),
                leaf("error-injector", "100m", row("booksapp", "")),
            ],
        };
        let text = render(&[table], Format::Table, false).unwrap();
        golden("stat_splits.txt", &text);
    }

    #[test]
    fn an_empty_answer_is_an_empty_array() {
        assert_eq!(
            render(&[deployments(vec![])], Format::Json, false).unwrap(),
            "[]\n"
        );
    }

    #[test]
    fn several_namespaces_have_a_column() {
        let rows = vec![row("a", "web"), row("b", "web")];
        let text = render(&[deployments(rows)], Format::Table, false).unwrap();
        assert!(text.starts_with("NAMESPACE   NAME   MESHED"), "{text}");
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (line, reason) in [
            ("", "No resource arguments provided"),
            (
                "deploy --to a --from b",
                "--to and --from flags are mutually exclusive",
            ),
            (
                "deploy --to-namespace a --from-namespace b",
                "--to-namespace and --from-namespace flags are mutually exclusive",
            ),
            (
                "deploy -A -n a",
                "--all-namespaces and --namespace flags are mutually exclusive",
            ),
            (
                "deploy --to ns/a --to-namespace a",
                "--to-namespace flag is incompatible with namespace resource type",
            ),
            (
                "deploy/a -A",
                "stats for a resource cannot be retrieved by name across all namespaces",
            ),
            (
                "deploy -t 5s",
                "metrics time window needs to be at least 15s",
            ),
            (
                "deploy -o xml",
                "--output currently only supports table, json and wide",
            ),
            (
                "deploy --to all",
                "resource type 'all' is not supported as a filter",
            ),
        ] {
            assert_eq!(check(line).unwrap_err().to_string(), reason, "{line}");
        }
    }

    #[test]
    fn a_question_is_passed_on() {
        let (format, request) = check("deploy webapp --to svc/books -n shop -o wide").unwrap();
        assert_eq!(format, Format::Wide);
        assert_eq!(
            serde_urlencoded::to_string(&request).unwrap(),
            "resources=deploy%2Fwebapp&window=1m&to=svc%2Fbooks&namespace=shop"
        );
    }
}
