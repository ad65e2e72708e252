//! `mesh routes`.

use crate::{
    args::Global,
    client::Client,
    output::{Align, Format, Refusal, Table, cell, json, ms, percent, rps},
    resources::{self, peer, resource},
};
use anyhow::Result;
use mesh_api::{Latency, Rate, RouteRow, RouteTable, RoutesRequest};
use serde::Serialize;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
};

/// Show success rate, requests per second and latency of each route
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh routes deploy/books
  mesh routes deploy/books --to svc/authors -o wide")]
pub(crate) struct Args {
    /// Resource whose routes are shown: TYPE, TYPE NAME or TYPE/NAME.
    #[arg(value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Time window of the rates.
    #[arg(short = 't', long, value_name = "DURATION", default_value = "1m")]
    time_window: String,
    /// Show the routes of this resource as RESOURCE calls them.
    #[arg(long, value_name = "RESOURCE")]
    to: Option<String>,
    /// Namespace of --to, if it differs.
    #[arg(long, value_name = "NAMESPACE")]
    to_namespace: Option<String>,
    /// Output format: table, wide (with --to) or json.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let (format, request) = args.check(global)?;
    let tables = Client::find(global)?.routes(&request).await?;
    let text = render(&tables, format, args.to.is_some())?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    /// Returns the output format and the request.
    fn check(&self, global: &Global) -> Result<(Format, RoutesRequest), Refusal> {
        let format = self.output.parse::<Format>()?;
        if format == Format::Wide && self.to.is_none() {
            return Err("wide output is only available when --to is specified".into());
        }
        let resource = resource(&self.resource)?;
        let request = RoutesRequest {
            resource,
            namespace: global.namespace.clone(),
            window: resources::window(&self.time_window)?,
            to: peer("to", self.to.as_deref(), self.to_namespace.as_deref())?,
        };
        Ok((format, request))
    }
}

fn render(tables: &[RouteTable], format: Format, is_to: bool) -> Result<String> {
    if format == Format::Json {
        return json_of(tables, is_to);
    }
    let several = tables.len() > 1;
    let tables = tables.iter().map(|of| {
        let heading = several.then(|| format!("==> {} <==\n", of.resource));
        format!("{}{}\n", heading.unwrap_or_default(), table(of, format))
    });
    Ok(tables.collect())
}

fn table(of: &RouteTable, format: Format) -> Table {
    let right = |name| (name, Align::Right);
    let mut columns = vec![("ROUTE", Align::Left), right("SERVICE")];
    match format {
        Format::Wide => {
            columns.extend(["EFFECTIVE_SUCCESS", "EFFECTIVE_RPS"].map(right));
            columns.extend(["ACTUAL_SUCCESS", "ACTUAL_RPS"].map(right));
        }
        _ => columns.extend(["SUCCESS", "RPS"].map(right)),
    }
    columns.extend(["LATENCY_P50", "LATENCY_P95", "LATENCY_P99"].map(right));

    let mut table = Table::new(columns);
    for row in &of.rows {
        let service = Some(service(row)).filter(|service| !service.is_empty());
        let mut cells = vec![row.route.clone(), cell(service, str::to_owned)];
        let rate = |rate: Rate| [cell(rate.success, percent), cell(rate.rps, rps)];
        cells.extend(rate(row.effective));
        if format == Format::Wide {
            cells.extend(rate(row.actual));
        }
        let Latency {
            latency_ms_p50,
            latency_ms_p95,
            latency_ms_p99,
        } = row.latency;
        cells.extend([latency_ms_p50, latency_ms_p95, latency_ms_p99].map(|p| cell(p, ms)));
        table.row(cells);
    }
    table
}

/// Returns the first label of the service's name.
fn service(row: &RouteRow) -> &str {
    row.authority.split('.').next().unwrap_or_default()
}

/// Renders an object with a list of routes for each resource.
fn json_of(tables: &[RouteTable], is_to: bool) -> Result<String> {
    #[derive(Serialize)]
    #[serde(untagged)]
    enum Row<'a> {
        /// Effective and actual rates.
        Called(RouteRow),
        /// Served requests, not split by client.
        Served {
            route: &'a str,
            authority: &'a str,
            #[serde(flatten)]
            rate: Rate,
            #[serde(flatten)]
            latency: Latency,
        },
    }
    let row = |row| match row {
        row if is_to => Row::Called(RouteRow {
            authority: service(row).to_owned(),
            ..row.clone()
        }),
        row => Row::Served {
            route: &row.route,
            authority: service(row),
            rate: row.effective,
            latency: row.latency,
        },
    };
    let tables = tables.iter();
    let tables = tables.map(|of| (&*of.resource, of.rows.iter().map(row).collect::<Vec<_>>()));
    json(&tables.collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parsed;
    use crate::output::golden;

    fn check(line: &str) -> Result<(Format, RoutesRequest), Refusal> {
        let (args, global) = parsed::<Args>(line);
        args.check(&global)
    }

    fn books() -> RouteTable {
        let row = |route: &str| RouteRow {
            route: route.to_owned(),
            authority: "books.booksapp.svc.cluster.local".to_owned(),
            ..RouteRow::default()
        };
        let rate = |success, rps| Rate {
            success: Some(success),
            rps: Some(rps),
        };
        RouteTable {
            resource: "deploy/webapp".to_owned(),
            rows: vec![
                RouteRow {
                    effective: rate(1.0, 0.8),
                    actual: rate(0.5102, 1.6),
                    latency: Latency {
                        latency_ms_p50: Some(11),
                        latency_ms_p95: Some(19),
                        latency_ms_p99: Some(20),
                    },
                    ..row("DELETE /books/{id}.json")
                },
                row("[DEFAULT]"),
            ],
        }
    }

    #[test]
    fn every_shape_is_as_expected() {
        let one = [books()];
        golden("routes.txt", &render(&one, Format::Table, false).unwrap());
        golden("routes.json", &render(&one, Format::Json, false).unwrap());
        golden(
            "routes_wide.txt",
            &render(&one, Format::Wide, true).unwrap(),
        );
        golden("routes_to.json", &render(&one, Format::Json, true).unwrap());
        let other = RouteTable {
            resource: "deploy/traffic".to_owned(),
            ..books()
        };
        let several = [books(), other];
        golden(
            "routes_several.txt",
            &render(&several, Format::Table, false).unwrap(),
        );
    }

    #[test]
    fn wrong_arguments_are_refused() {
        for (line, reason) in [
            ("", "No resource arguments provided"),
            (
                "deploy/a -o wide",
                "wide output is only available when --to is specified",
            ),
            (
                "deploy/a po/b",
                "only one resource is expected, not deploy/a po/b",
            ),
            ("deploy/a -t 1", "invalid time window: "),
        ] {
            assert!(
                check(line).unwrap_err().to_string().starts_with(reason),
                "{line}"
            );
        }
    }

    #[test]
    fn arguments_become_a_request() {
        let (_, request) = check("deploy/books --to svc/authors --to-namespace b").unwrap();
        assert_eq!(
            serde_urlencoded::to_string(&request).unwrap(),
            "resource=deploy%2Fbooks&window=1m&to=svc%2Fauthors&to_namespace=b"
        );
    }
}
