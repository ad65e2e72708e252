//! `mesh explain`: what a sidecar would do with a request, and why.

mod offline;
mod target;
mod text;

use crate::{args::Global, client::Client, output::Refusal};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use http::Method;
use mesh_api::{DestinationRequest, Fault, Resource};
use mesh_profile::{PassedOver, Profile, ProfileSpec};
use serde::Serialize;
use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};
use target::Target;

/// Say which destination and which route a request gets, and why
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh explain PUT http://books:7002/books/1.json --from deploy/webapp\n  \
    mesh explain GET /books.json -f books.yaml\n  \
    mesh profile --open-api books.yaml books | mesh explain GET /books.json -f -"
)]
pub(crate) struct Args {
    /// The method of the request
    #[arg(value_parser = target::method)]
    method: Method,
    /// Its URL; with -f, a path is enough
    url: Target,
    /// A header of it; Host names the destination if the URL does not
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Client that sends the request, as in deploy/webapp
    #[arg(long, value_name = "RESOURCE")]
    from: Option<String>,
    /// The ServiceProfile to ask, instead of the running mesh; - is standard input
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// Output format
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The whole explanation; an interface.
#[derive(Debug, Serialize)]
struct Explanation {
    method: String,
    path: String,
    authority: Option<String>,
    from: Option<String>,
    /// Null if the mesh does not know it: passed through, by DNS.
    destination: Option<String>,
    /// Suggestion for an unknown destination.
    hint: Option<String>,
    /// Where the routes are declared.
    profile: Option<String>,
    route: String,
    reason: String,
    passed_over: Vec<PassedOver>,
    timeout_ms: Option<u128>,
    retryable: bool,
    resend: Resend,
    retry_budget: Budget,
    split: Vec<Share>,
    /// The TrafficSplit that decides the shares.
    traffic_split: Option<String>,
    /// TrafficSplits that are not in force, or not whole, with the reasons.
    split_problems: Vec<String>,
    /// Faults that are injected on purpose into some of these requests.
    faults: Vec<Fault>,
}

/// Proof on which a request is sent again, whatever its route says; see
/// `docs/headers-and-limits.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum Resend {
    /// No endpoint was reached.
    Unreached,
    /// No endpoint was reached, or the connection was closed unread.
    Unread,
}

#[derive(Debug, Serialize)]
struct Budget {
    retry_ratio: f64,
    min_retries_per_second: u32,
    ttl_ms: u128,
}

#[derive(Debug, Serialize)]
struct Share {
    authority: String,
    weight: u32,
    /// Between 0 and 1.
    share: f64,
    endpoints: Vec<String>,
    exists: bool,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let Target { path, .. } = &args.url;
    let authority = args.url.authority(&args.headers)?;
    let explanation = if let Some(file) = &args.filename {
        let (name, profile) = offline::profile(file, authority.as_deref())?;
        let mut explanation = explain(&args.method, path, &profile);
        explanation.profile = Some(name);
        explanation
    } else {
        let Some(authority) = &authority else {
            bail!(
                "{path} names no service; write http://SERVICE:PORT{path}, or add -H 'Host: SERVICE:PORT'"
            );
        };
        let client = Client::find(global)?;
        let request = DestinationRequest {
            authority: authority.clone(),
            namespace: Some(client.namespace(global).await?),
            from: args.from.as_deref().map(source).transpose()?,
        };
        live(&client, &request, &args.method, path).await?
    };
    let explanation = Explanation {
        authority,
        from: args.from,
        ..explanation
    };
    let text = match args.output {
        Format::Json => serde_json::to_string_pretty(&explanation)? + "\n",
        Format::Table => text::table(&explanation),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The client that `--from` names.
fn source(from: &str) -> Result<Resource> {
    let from: Resource = from.parse().with_context(|| format!("--from {from}"))?;
    match from.name.is_some() {
        true => Ok(from),
        false => Err(Refusal::from("name it as KIND/NAME, as in deploy/webapp").into()),
    }
}

async fn live(
    client: &Client,
    request: &DestinationRequest,
    method: &Method,
    path: &str,
) -> Result<Explanation> {
    let destination = client.destination::<ProfileSpec>(request).await?;
    let (profile, _) = Profile::compile_lenient(destination.profile);
    let mut explanation = explain(method, path, &profile);
    explanation.destination = destination.name;
    explanation.hint = destination.hint;
    explanation.profile = destination
        .resource
        .map(|resource| format!("{}/{}", resource.namespace, resource.name));
    if explanation.profile.is_none() {
        explanation.reason = "there is no profile".to_owned();
    }
    explanation.traffic_split = destination
        .split
        .map(|split| format!("{}/{}", split.namespace, split.name));
    explanation.split_problems = destination.split_problems;
    let route = explanation.route.as_str();
    let faults = destination.faults.into_iter();
    let faults = faults.filter(|it| it.route.as_deref().is_none_or(|name| name == route));
    explanation.faults = faults.collect();
    let total: u64 = destination
        .leaves
        .iter()
        .map(|leaf| u64::from(leaf.weight))
        .sum();
    let shares = destination.leaves.into_iter().map(|leaf| Share {
        #[allow(clippy::cast_precision_loss, reason = "a share is for people")]
        share: f64::from(leaf.weight) / total.max(1) as f64,
        weight: leaf.weight,
        exists: leaf.exists,
        endpoints: leaf
            .endpoints
            .iter()
            .map(|it| it.addr.to_string())
            .collect(),
        authority: leaf.authority,
    });
    explanation.split = shares.collect();
    Ok(explanation)
}

fn explain(method: &Method, path: &str, profile: &Profile) -> Explanation {
    let route = profile.route_for(method, path);
    let explanation = profile.explain(method, path);
    let budget = profile.budget();
    Explanation {
        method: method.to_string(),
        path: path.to_owned(),
        authority: None,
        from: None,
        destination: None,
        hint: None,
        profile: None,
        route: route.name().to_owned(),
        reason: explanation.reason,
        passed_over: explanation.passed_over,
        timeout_ms: route.timeouts().head.map(|it| it.as_millis()),
        retryable: route.is_retryable(),
        resend: match method.is_idempotent() {
            true => Resend::Unread,
            false => Resend::Unreached,
        },
        retry_budget: Budget {
            retry_ratio: budget.ratio(),
            min_retries_per_second: budget.min_per_second(),
            ttl_ms: budget.ttl().as_millis(),
        },
        split: Vec::new(),
        traffic_split: None,
        split_problems: Vec::new(),
        faults: Vec::new(),
    }
}
