//! `mesh edges`.

use crate::{
    args::Global,
    client::Client,
    output::{Align, Format, NONE, Refusal, Table, json},
    resources::resource,
};
use anyhow::Result;
use mesh_api::{EdgeRow, EdgesRequest, Namespaces};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Show which workloads call each other, and whether the connections are secured
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh edges deploy
  mesh edges po -o wide")]
pub(crate) struct Args {
    /// Type of the resources at both ends: deploy, po, ns or svc.
    #[arg(value_name = "TYPE")]
    kind: Vec<String>,
    /// Look at every namespace.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Output format: table, wide or json.
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let (format, request) = args.check(global)?;
    let edges = Client::find(global)?.edges(&request).await?;
    if edges.is_empty() && format != Format::Json {
        eprintln!("No edges found.");
        return Ok(ExitCode::SUCCESS);
    }
    io::stdout().write_all(render(&edges, format)?.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn check(&self, global: &Global) -> Result<(Format, EdgesRequest), Refusal> {
        let format = self.output.parse::<Format>()?;
        if self.all_namespaces && global.namespace.is_some() {
            let reason = "--all-namespaces and --namespace flags are mutually exclusive";
            return Err(reason.into());
        }
        let resource = resource(&self.kind)?;
        if resource.name.is_some() {
            let reason = "`mesh edges` shows all resources of a type: leave the name out";
            return Err(reason.into());
        }
        let request = EdgesRequest {
            kind: resource.kind,
            namespaces: match self.all_namespaces {
                true => Namespaces::All,
                false => Namespaces::of(global.namespace.clone()),
            },
        };
        Ok((format, request))
    }
}

fn render(edges: &[EdgeRow], format: Format) -> Result<String> {
    if format == Format::Json {
        return json(&edges);
    }
    let mut columns = vec!["SRC", "DST", "SRC_NS", "DST_NS"];
    if format == Format::Wide {
        columns.extend(["CLIENT_ID", "SERVER_ID"]);
    }
    columns.push("SECURED");
    let columns = columns.into_iter().map(|name| (name, Align::Left));
    let mut table = Table::new(columns).filled();
    for edge in edges {
        let mut cells = vec![
            &edge.src,
            &edge.dst,
            &edge.src_namespace,
            &edge.dst_namespace,
        ];
        if format == Format::Wide {
            cells.extend([&edge.client_id, &edge.server_id]);
        }
        let or_none = |cell: &String| match cell.as_str() {
            "" => NONE.to_owned(),
            cell => cell.to_owned(),
        };
        let secured = secured(&edge.no_tls_reason);
        table.row(cells.into_iter().map(or_none).chain([secured]));
    }
    Ok(table.to_string())
}

/// Returns a tick, or the reason in words: `not_http` as `Not HTTP`.
fn secured(no_tls_reason: &str) -> String {
    if no_tls_reason.is_empty() {
        return "√".to_owned();
    }
    let words = no_tls_reason.split('_').map(|word| match word {
        "http" => "HTTP".to_owned(),
        "tls" => "TLS".to_owned(),
        word => {
            let (first, rest) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
            first.to_uppercase() + rest
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::golden;

    #[test]
    fn every_shape_is_as_expected() {
        let edge = |src: &str, dst: &str, reason: &str| EdgeRow {
            src: src.to_owned(),
            src_namespace: "booksapp".to_owned(),
            dst: dst.to_owned(),
            dst_namespace: "booksapp".to_owned(),
            no_tls_reason: reason.to_owned(),
            ..EdgeRow::default()
        };
        let secured = EdgeRow {
            client_id: "books.booksapp".to_owned(),
            server_id: "authors.booksapp".to_owned(),
            ..edge("books", "authors", "")
        };
        let edges = [secured, edge("webapp", "books", "loopback")];
        golden("edges.txt", &render(&edges, Format::Table).unwrap());
        golden("edges_wide.txt", &render(&edges, Format::Wide).unwrap());
        golden("edges.json", &render(&edges, Format::Json).unwrap());
    }

    #[test]
    fn a_reason_is_said_in_words() {
        for (reason, words) in [
            ("loopback", "Loopback"),
            ("not_http", "Not HTTP"),
            (
                "no_authority_in_http_request",
                "No Authority In HTTP Request",
            ),
            (
                "not_provided_by_service_discovery",
                "Not Provided By Service Discovery",
            ),
        ] {
            assert_eq!(secured(reason), words);
        }
    }
}
