//! `mesh edit`.

use super::{apply, manifest};
use crate::{args::Global, client::Client};
use anyhow::{Context, Result, bail};
use mesh_manifest::yaml;
use std::{
    ffi::OsString,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

/// Edit a resource in $EDITOR, again while it is invalid
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  EDITOR=nano mesh edit sp/books")]
pub(crate) struct Args {
    /// The resource, as KIND/NAME
    #[arg(value_name = "KIND/NAME")]
    resource: String,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let (kind, name) = manifest::kind_and_name(&args.resource, "mesh edit sp/books")?;
    let client = Client::find(global)?;
    let namespace = client.namespace(global).await?;
    let name = manifest::name(kind, name, &namespace);
    let list = client
        .resources(kind, Some(&namespace), Some(&name))
        .await?;
    let Some(item) = list.items.first() else {
        bail!(
            "{} {name} not found in the namespace {namespace}",
            kind.names().singular
        );
    };
    let mut item = item.clone();
    if let Some(item) = item.as_object_mut() {
        // Conditions are the controller's.
        item.remove("status");
    }
    let original = yaml::to_string(&item)?;
    let file = Scratch::new(&original)?;
    let mut text = original.clone();
    loop {
        let before = text.clone();
        edit(&file.0)?;
        let edited = fs::read_to_string(&file.0).context("reading what was edited")?;
        let edited = without_head(&edited);
        if edited.trim().is_empty() || edited == original {
            eprintln!("Edit cancelled, no changes made.");
            return Ok(ExitCode::SUCCESS);
        }
        let source = apply::Source {
            name: args.resource.clone(),
            text: edited.clone(),
        };
        let error = match apply::send(&client, &namespace, &[source]).await {
            Ok(applied) => {
                for applied in applied {
                    writeln!(io::stdout(), "{} {}", applied.resource, applied.result)?;
                }
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => error,
        };
        if edited == before {
            // Saved as it was, error and all: whoever did that has given up.
            return Err(error.context("Edit cancelled, what was edited is invalid"));
        }
        text = edited;
        fs::write(&file.0, with_head(&format!("{error:#}"), &text))?;
    }
}

/// The head that explains what is wrong, as comments.
fn with_head(error: &str, text: &str) -> String {
    let lines = error.lines().map(|line| format!("{HEAD}{line}\n"));
    let lines: String = lines.collect();
    format!(
        "{HEAD}Please change the text below so that it is valid; what is wrong is:\n{HEAD}\n{lines}{HEAD}\n{text}"
    )
}

fn without_head(text: &str) -> String {
    let lines = text.split_inclusive('\n');
    lines
        .skip_while(|line| line.starts_with(HEAD.trim_end()))
        .collect()
}

/// Prefix of generated header lines, which distinguishes them from users' comments.
const HEAD: &str = "#! ";

fn edit(file: &Path) -> Result<()> {
    let editor = ["MESH_EDITOR", "VISUAL", "EDITOR"]
        .iter()
        .filter_map(std::env::var_os)
        .find(|editor| !editor.is_empty())
        .unwrap_or_else(|| OsString::from("vi"));
    // An editor may come with arguments (`code --wait`), which the shell takes apart.
    let status = Command::new("sh")
        .args(["-c", "eval \"$MESH_EDIT_WITH \\\"\\$1\\\"\"", "sh"])
        .arg(file)
        .env("MESH_EDIT_WITH", &editor)
        .status()
        .context("starting the editor")?;
    if !status.success() {
        bail!(
            "the editor `{}` failed; nothing was changed",
            editor.display()
        );
    }
    Ok(())
}

/// A file of this user's alone, which goes with this value.
struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &str) -> Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let name = format!("mesh-edit-{}.yaml", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("writing {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_on_top_and_does_not_stay() {
        let text = "# mine\nkind: ServiceProfile\n";
        let shown = with_head("line one\nline two", text);
        assert!(shown.starts_with("#! Please"), "{shown}");
        assert!(shown.contains("#! line one\n#! line two\n"));
        assert_eq!(without_head(&shown), text);
        assert_eq!(without_head(text), text);
    }
}
