//! `mesh apply`.

use crate::{args::Global, client::Client};
use anyhow::{Context, Result, bail};
use mesh_api::{Applied, ApplyRequest};
use std::{
    fmt::Write as _,
    io::{self, Read, Write},
    path::PathBuf,
    process::ExitCode,
};

/// Create or change resources: all of them, or none when one is invalid
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  mesh apply -f profiles/\n  \
    mesh profile --open-api books.yaml books | mesh apply -f -")]
pub(crate) struct Args {
    /// A manifest, a folder of them, or - for standard input
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub(crate) filename: Vec<PathBuf>,
}

/// A manifest and what errors call it.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let sources = read(&args.filename)?;
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let applied = send(&client, &namespace, &sources).await?;
    let mut out = io::stdout().lock();
    for applied in applied {
        for warning in &applied.warnings {
            eprintln!("Warning: {}: {warning}", applied.resource);
        }
        writeln!(out, "{} {}", applied.resource, applied.result)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads the manifests of `-f`.
pub(crate) fn read(filenames: &[PathBuf]) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for filename in filenames {
        if filename.as_os_str() == "-" {
            let mut text = String::new();
            let read = io::stdin().lock().read_to_string(&mut text);
            read.context("reading standard input")?;
            sources.push(Source {
                name: "<stdin>".to_owned(),
                text,
            });
            continue;
        }
        let found = crate::manifest_files::read(std::slice::from_ref(filename))?;
        if found.is_empty() {
            bail!("there are no YAML or JSON files in {}", filename.display());
        }
        sources.extend(found.into_iter().map(|manifest| Source {
            name: manifest.file.display().to_string(),
            text: manifest.text,
        }));
    }
    Ok(sources)
}

/// Applies `sources` together, or none of them.
pub(crate) async fn send(
    client: &Client,
    namespace: &str,
    sources: &[Source],
) -> Result<Vec<Applied>> {
    // Each by itself first, since the names of the files are only known here.
    let mut whole = String::new();
    for source in sources {
        super::manifest::check(&source.text, &source.name)?;
        let _ = write!(whole, "---\n{}\n", source.text.trim_end());
    }
    let name = match sources {
        [source] => {
            whole.clone_from(&source.text);
            source.name.as_str()
        }
        _ => "the manifests",
    };
    let request = ApplyRequest {
        namespace: Some(namespace.to_owned()),
        source: Some(name.to_owned()),
    };
    client.apply(&request, whole).await
}
