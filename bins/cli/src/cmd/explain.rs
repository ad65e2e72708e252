//! `mesh explain`: what a sidecar would do with a request, and why.

use crate::{args::Global, client::Client};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use http::{Method, Uri};
use mesh_controller::{
    source::workloads::Workloads,
    web::api::{Destination, Resource},
};
use mesh_profile::{PassedOver, Profile, Route, ServiceProfileManifest};
use serde::Serialize;
use std::{
    fmt::Write as _,
    fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

/// Say which destination and which route a request gets, and why
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh explain PUT http://books:7002/books/1.json --from deploy/webapp\n  \
    mesh explain GET /books.json -f books.yaml"
)]
pub(crate) struct Args {
    /// The method of the request
    method: Method,
    /// Its URL; with -f, a path is enough
    url: Uri,
    /// A header of it; Host names the destination if the URL does not
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Who sends it, as in deploy/webapp
    #[arg(long, value_name = "RESOURCE")]
    from: Option<String>,
    /// A ServiceProfile to ask, instead of the running mesh
    #[arg(short = 'f', long, value_name = "FILE")]
    filename: Option<PathBuf>,
    /// How to print it
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "table")]
    output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

/// The whole answer; an interface.
#[derive(Debug, Serialize)]
struct Answer {
    method: String,
    path: String,
    authority: Option<String>,
    from: Option<String>,
    /// Null if the mesh does not know it: passed through, by DNS.
    destination: Option<String>,
    /// Where the routes are declared.
    profile: Option<String>,
    route: String,
    reason: String,
    passed_over: Vec<PassedOver>,
    timeout_ms: Option<u128>,
    retryable: bool,
    retry_budget: Budget,
    split: Vec<Share>,
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
    let path = args.url.path();
    let authority = authority(&args)?;
    let answer = if let Some(file) = &args.filename {
        let (name, profile) = offline(file, authority.as_deref())?;
        let mut answer = explain(&args.method, path, &profile);
        answer.profile = Some(name);
        answer
    } else {
        let Some(authority) = &authority else {
            bail!(
                "`{}` names no service; write http://SERVICE:PORT/PATH, or add -H 'Host: SERVICE:PORT'",
                args.url
            );
        };
        let client = Client::find(global)?;
        let namespace = client.namespace(global).await?;
        if let Some(from) = &args.from {
            check_source(&client, from, &namespace)?;
        }
        live(&client, &namespace, authority, &args.method, path).await?
    };
    let answer = Answer {
        authority,
        from: args.from,
        ..answer
    };
    let text = match args.output {
        Format::Json => serde_json::to_string_pretty(&answer)? + "\n",
        Format::Table => table(&answer),
    };
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The destination the request names: in its URL, else in its Host.
fn authority(args: &Args) -> Result<Option<String>> {
    if let Some(authority) = args.url.authority() {
        return Ok(Some(authority.to_string()));
    }
    for header in &args.headers {
        let Some((name, value)) = header.split_once(':') else {
            bail!("`{header}` is no header; write NAME: VALUE");
        };
        if name.trim().eq_ignore_ascii_case("host") {
            return Ok(Some(value.trim().to_owned()));
        }
    }
    Ok(None)
}

fn offline(file: &PathBuf, authority: Option<&str>) -> Result<(String, Profile)> {
    let name = file.display().to_string();
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {name}"))?;
    super::manifest::check(&text, &name)?;
    let manifests = ServiceProfileManifest::read_all(&text, &name)?;
    let host = authority.map(|it| it.split(':').next().unwrap_or(it));
    let of_host = |manifest: &&ServiceProfileManifest| {
        let service = manifest.metadata.name.as_str();
        host.is_some_and(|host| service == host || service.starts_with(&format!("{host}.")))
    };
    let chosen = match manifests.as_slice() {
        [] => bail!("{name}: there is no ServiceProfile in it"),
        [one] => one,
        many => many.iter().find(of_host).with_context(|| {
            format!(
                "{name}: there are {} ServiceProfiles in it; name the service in the URL",
                many.len()
            )
        })?,
    };
    let profile = chosen.check().with_context(|| name.clone())?;
    Ok((chosen.metadata.name.clone(), profile))
}

async fn live(
    client: &Client,
    namespace: &str,
    authority: &str,
    method: &Method,
    path: &str,
) -> Result<Answer> {
    let query = [("authority", authority), ("namespace", namespace)];
    let destination: Destination = client.get_json("/api/v1/destination", &query).await?;
    let (profile, _) = Profile::salvage(destination.profile);
    let mut answer = explain(method, path, &profile);
    answer.destination = destination.name;
    answer.profile = destination
        .resource
        .map(|resource| format!("{}/{}", resource.namespace, resource.name));
    if answer.profile.is_none() {
        answer.reason = "there is no profile".to_owned();
    }
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
    answer.split = shares.collect();
    Ok(answer)
}

/// Refuses a source that there is not, where that can be known.
fn check_source(client: &Client, from: &str, namespace: &str) -> Result<()> {
    let resource: Resource = from.parse().map_err(anyhow::Error::msg)?;
    let Some(dir) = client.state_dir() else {
        return Ok(());
    };
    let Ok(text) = fs::read(dir.join("run/workloads.json")) else {
        return Ok(());
    };
    let workloads: Workloads = serde_json::from_slice(&text)?;
    let mut names = workloads.workloads.iter().flat_map(|workload| {
        let pods = workload.replicas.iter().map(|replica| &replica.pod);
        pods.chain([&workload.name])
    });
    if resource.name.is_some() && !names.any(|name| resource.name.as_ref() == Some(name)) {
        bail!("{from} not found in the namespace {namespace}");
    }
    Ok(())
}

fn explain(method: &Method, path: &str, profile: &Profile) -> Answer {
    let route = profile.route_for(method, path);
    let explanation = profile.explain(method, path);
    let budget = profile.budget();
    Answer {
        method: method.to_string(),
        path: path.to_owned(),
        authority: None,
        from: None,
        destination: None,
        profile: None,
        route: route.name().to_owned(),
        reason: explanation.reason,
        passed_over: explanation.passed_over,
        timeout_ms: route.timeouts().head.map(|it| it.as_millis()),
        retryable: route.is_retryable(),
        retry_budget: Budget {
            retry_ratio: budget.ratio(),
            min_retries_per_second: budget.min_per_second(),
            ttl_ms: budget.ttl().as_millis(),
        },
        split: Vec::new(),
    }
}

fn table(answer: &Answer) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<13} {value}");
    };
    let target = answer.authority.as_deref().unwrap_or_default();
    line(
        "REQUEST",
        &format!("{} {target}{}", answer.method, answer.path),
    );
    if let Some(from) = &answer.from {
        line("FROM", from);
    }
    match (&answer.destination, &answer.authority) {
        (Some(destination), _) => line("DESTINATION", destination),
        // Offline there is nobody to ask.
        (None, _) if answer.split.is_empty() && answer.profile.is_some() => {}
        (None, Some(authority)) => line(
            "DESTINATION",
            &format!("{authority}, which is not in the mesh: found by DNS and passed through"),
        ),
        (None, None) => {}
    }
    line("PROFILE", answer.profile.as_deref().unwrap_or("-"));
    line("ROUTE", &answer.route);
    line("  because", &answer.reason);
    for other in &answer.passed_over {
        line("  not", &format!("{}: {}", other.route, other.reason));
    }
    let timeout = answer.timeout_ms.and_then(|it| u64::try_from(it).ok());
    let timeout = timeout.map(|ms| format!("{:?}, retries included", Duration::from_millis(ms)));
    line("TIMEOUT", timeout.as_deref().unwrap_or("-"));
    let budget = &answer.retry_budget;
    let budget = format!(
        "{}% of requests and {} a second, over {:?}",
        budget.retry_ratio * 100.0,
        budget.min_retries_per_second,
        Duration::from_millis(u64::try_from(budget.ttl_ms).unwrap_or(u64::MAX)),
    );
    let retry = match (answer.retryable, answer.route == Route::DEFAULT_NAME) {
        (true, _) => format!("failures, within the budget: {budget}"),
        (false, true) => "never: no route says that it may be".to_owned(),
        (false, false) => "never: the route is not `isRetryable`".to_owned(),
    };
    line("RETRY", &retry);
    for share in &answer.split {
        let endpoints = match share.endpoints.as_slice() {
            [] if !share.exists => "there is no such service".to_owned(),
            [] => "no endpoint is ready".to_owned(),
            some => some.join(", "),
        };
        let part = format!(
            "{:.1}% to {} ({endpoints})",
            share.share * 100.0,
            share.authority
        );
        line("SPLIT", &part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> Profile {
        serde_json::from_str(
            r#"{"routes": [
                {"name": "list", "condition": {"method": "GET", "pathRegex": "/books.json"}},
                {"name": "one", "condition": {"method": "GET", "pathRegex": "/books/[^/]*"},
                 "isRetryable": true, "timeout": "25ms"}
            ]}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_answer_says_why_and_why_not() {
        let mut answer = explain(&Method::GET, "/books/1", &profile());
        answer.authority = Some("books:7002".into());
        answer.destination = Some("books.shop.svc.cluster.local:7002".into());
        answer.profile = Some("shop/books.shop.svc.cluster.local".into());
        answer.split = vec![Share {
            authority: "books.shop.svc.cluster.local:7002".into(),
            weight: 1,
            share: 1.0,
            endpoints: vec!["127.0.0.1:1".into()],
            exists: true,
        }];
        assert_eq!(
            table(&answer),
            "REQUEST       GET books:7002/books/1\n\
             DESTINATION   books.shop.svc.cluster.local:7002\n\
             PROFILE       shop/books.shop.svc.cluster.local\n\
             ROUTE         one\n  \
             because     method is GET and path matches /books/[^/]*\n  \
             not         list: path does not match /books.json\n\
             TIMEOUT       25ms, retries included\n\
             RETRY         failures, within the budget: 20% of requests and 10 a second, over 10s\n\
             SPLIT         100.0% to books.shop.svc.cluster.local:7002 (127.0.0.1:1)\n"
        );
    }

    #[test]
    fn a_request_of_no_route_is_not_retried() {
        let answer = explain(&Method::PUT, "/x", &profile());
        assert_eq!(answer.route, "[DEFAULT]");
        assert!(!answer.retryable);
        assert_eq!(answer.passed_over.len(), 2);
        assert!(table(&answer).contains("RETRY         never: no route says"));
    }
}
