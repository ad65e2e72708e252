use super::{Split, fetch};
use crate::{args::Global, client::Client, cmd::apply, output::Refusal};
use anyhow::{Result, bail};
use mesh_api::ManifestKind;
use mesh_manifest::{SplitBackend, TrafficSplitManifest, TrafficSplitSpec, Weight};
use std::{
    io::{self, Write},
    process::ExitCode,
};

/// Split the requests of a service among services, by weight
///
/// Changes the TrafficSplit of the service, or creates one of the service's name.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh split set books books=95 books-v2=5\n  \
    mesh split set svc/books books=900m error-injector=100m"
)]
pub(super) struct Args {
    /// The service that clients call, as NAME or svc/NAME
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Services that get its requests, each with its weight, which is relative to the sum of all
    #[arg(value_name = "SERVICE=WEIGHT", required = true)]
    leaves: Vec<String>,
}

pub(super) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let service = args.service.strip_prefix("svc/").unwrap_or(&args.service);
    let backends = args.leaves.iter().map(|leaf| backend(leaf));
    let spec = TrafficSplitSpec {
        service: service.to_owned(),
        backends: backends.collect::<Result<_, _>>()?,
        ..TrafficSplitSpec::default()
    };
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let splits = fetch(&client, Some(&namespace)).await?;
    let name = name(&splits, service)?;
    let manifest = TrafficSplitManifest::new(name, &namespace, spec);
    manifest.check()?;
    let source = apply::Source {
        name: "mesh split set".to_owned(),
        text: manifest.to_yaml(),
    };
    let mut out = io::stdout().lock();
    for applied in apply::send(&client, &namespace, &[source]).await? {
        for warning in &applied.warnings {
            eprintln!("Warning: {}: {warning}", applied.resource);
        }
        writeln!(out, "{} {}", applied.resource, applied.result)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn backend(text: &str) -> Result<SplitBackend, Refusal> {
    let invalid = |reason: &str| {
        Refusal::Usage(format!(
            "`{text}`: {reason}; write SERVICE=WEIGHT, as in books-v2=5"
        ))
    };
    let (service, weight) = text
        .split_once('=')
        .ok_or_else(|| invalid("there is no weight"))?;
    let weight = weight.parse::<Weight>();
    Ok(SplitBackend {
        service: service.strip_prefix("svc/").unwrap_or(service).to_owned(),
        weight: weight.map_err(|error| invalid(&error.to_string()))?,
    })
}

/// The name of the split of `service`: of the one in force, or of a new one.
fn name<'a>(splits: &'a [Split], service: &'a str) -> Result<&'a str> {
    let mut of_service = splits.iter().filter(|split| split.service == service);
    let in_force = of_service
        .clone()
        .find(|split| split.status != "Conflicted");
    if let Some(split) = in_force.or_else(|| of_service.next()) {
        return Ok(&split.name);
    }
    if let Some(other) = splits.iter().find(|split| split.name == service) {
        let kind = ManifestKind::TrafficSplit.names().short;
        bail!(
            "the TrafficSplit {service} is of the service {}; rename it, or apply a manifest of \
             another name (mesh get {kind} {service} -o yaml)",
            other.service
        );
    }
    Ok(service)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::split, *};

    #[test]
    fn shares_are_services_with_weights() {
        let backend = |text| backend(text).map(|it| (it.service, it.weight.milli()));
        assert_eq!(backend("v2=5"), Ok(("v2".into(), 5_000)));
        assert_eq!(backend("svc/v2=900m"), Ok(("v2".into(), 900)));
        for text in ["v2", "v2=", "v2=-1", "v2=much"] {
            assert!(matches!(backend(text), Err(Refusal::Usage(_))), "{text}");
        }
    }

    #[test]
    fn the_split_in_force_is_changed_and_a_new_one_has_the_name_of_its_service() {
        let other = |name: &str, service: &str, status: &str| Split {
            name: name.into(),
            service: service.into(),
            status: status.into(),
            ..split(None)
        };
        assert_eq!(name(&[], "books").unwrap(), "books");
        assert_eq!(name(&[split(None)], "books").unwrap(), "canary");
        let two = [
            other("a", "books", "Conflicted"),
            other("b", "books", "BackendNotFound"),
        ];
        assert_eq!(name(&two, "books").unwrap(), "b");
        assert_eq!(name(&two[..1], "books").unwrap(), "a");
        let taken = [other("books", "authors", "Accepted")];
        assert!(
            name(&taken, "books")
                .unwrap_err()
                .to_string()
                .contains("authors")
        );
    }
}
