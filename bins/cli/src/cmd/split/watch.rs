use super::{Split, fetch};
use crate::{args::Global, client::Client};
use anyhow::Result;
use mesh_tap::har::iso8601;
use std::{
    collections::BTreeMap,
    io::{self, Write},
    process::ExitCode,
    time::{Duration, SystemTime},
};

/// The interval at which the mesh is asked.
const EVERY: Duration = Duration::from_millis(500);

/// Print a line for each split, and another whenever its weights or conditions change
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh split watch\n  mesh split watch books")]
pub(super) struct Args {
    /// The service or the split to watch; without it, all
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub(super) async fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let mut splits = fetch(&client, Some(&namespace)).await?;
    let mut known = BTreeMap::new();
    let mut is_lost = false;
    loop {
        let wanted = splits.into_iter().filter(|split| {
            let name = args.name.as_deref();
            name.is_none_or(|name| split.name == name || split.service == name)
        });
        let wanted = wanted.map(|split| (split.name.clone(), split)).collect();
        let now = iso8601(SystemTime::now());
        let mut out = io::stdout().lock();
        for line in changes(&known, &wanted) {
            writeln!(out, "{now} {line}")?;
        }
        out.flush()?;
        drop(out);
        known = wanted;
        splits = loop {
            tokio::time::sleep(EVERY).await;
            match fetch(&client, Some(&namespace)).await {
                Ok(splits) => break splits,
                // A controller that is replaced is back soon.
                Err(error) if !std::mem::replace(&mut is_lost, true) => {
                    eprintln!("Waiting for the mesh: {error:#}");
                }
                Err(_) => {}
            }
        };
        is_lost = false;
    }
}

/// A line for each split that is new, changed or gone.
fn changes(before: &BTreeMap<String, Split>, now: &BTreeMap<String, Split>) -> Vec<String> {
    let changed = now
        .iter()
        .filter(|(name, split)| before.get(*name) != Some(*split));
    let changed = changed.map(|(_, split)| {
        let Split {
            name,
            service,
            status,
            ..
        } = split;
        let message = split.message.as_deref();
        let message = message.map_or_else(String::new, |message| format!(": {message}"));
        format!(
            "{name} of {service}: {} ({status}{message})",
            split.weights()
        )
    });
    let gone = before.keys().filter(|name| !now.contains_key(*name));
    changed
        .chain(gone.map(|name| format!("{name} deleted")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::split, *};

    #[test]
    fn only_changes_are_printed() {
        let one = |split: Split| BTreeMap::from([(split.name.clone(), split)]);
        let (none, split, broken) = (
            BTreeMap::new(),
            one(split(None)),
            one(split(Some("BackendNotFound"))),
        );
        assert_eq!(
            changes(&none, &split),
            ["canary of books: books=900m v2=100m v3=1 (Accepted)"]
        );
        assert_eq!(changes(&split, &split), Vec::<String>::new());
        assert_eq!(
            changes(&split, &broken),
            ["canary of books: books=900m v2=100m v3=1 (BackendNotFound: why)"]
        );
        assert_eq!(changes(&split, &none), ["canary deleted"]);
    }
}
