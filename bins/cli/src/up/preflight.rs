//! Checks before anything starts: builds the programs and reports visible faults.

use super::{config::Config, process::Ended, program};
use crate::manifest_files;
use anyhow::{Context as _, Result, bail};

/// Runs the `build` of `config` in the foreground.
pub(crate) fn build(config: &Config) -> Result<()> {
    let Some(build) = &config.build else {
        return Ok(());
    };
    eprintln!("building: {build}");
    let status = std::process::Command::new("sh")
        .args(["-c", build])
        .current_dir(config.dir())
        .status()
        .context("running sh")?;
    if !status.success() {
        let ended = Ended::from(status);
        bail!("{}: the build `{build}` {ended}", config.file.display());
    }
    Ok(())
}

/// Refuses what can be seen to be wrong: programs that are not there, manifests that are not good.
pub(crate) fn check(config: &Config) -> Result<()> {
    for manifest in manifest_files::read(&config.manifests)? {
        let source = manifest.file.display().to_string();
        crate::cmd::manifest::check(&manifest.text, &source)?;
    }
    let path = std::env::var_os("PATH");
    for (name, workload) in &config.workloads {
        let own = workload.env.get("PATH").map(std::ffi::OsStr::new);
        let program = workload.command.first().map_or("", String::as_str);
        let place = &workload.place;
        if !workload.dir.is_dir() {
            bail!(
                "{place}: workload `{name}`: there is no folder {}",
                workload.dir.display()
            );
        }
        if program::find(program, &workload.dir, own.or(path.as_deref())).is_none() {
            bail!(
                "{place}: workload `{name}`: there is no program `{program}`{}",
                if program.contains('/') {
                    format!(
                        " in {}; does it have to be built first?",
                        workload.dir.display()
                    )
                } else {
                    " in the PATH; is it installed?".to_owned()
                }
            );
        }
    }
    Ok(())
}
