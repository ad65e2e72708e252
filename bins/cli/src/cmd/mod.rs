//! The commands, one file each: `Args` is what clap reads, `run` does it.
//!
//! Results go to standard output with `writeln!` and `?` (a closed pipe is a success), the rest
//! to standard error. An error that `run` returns is printed by `main` and is exit code 1.

pub(crate) mod apply;
pub(crate) mod canary;
pub(crate) mod check;
pub(crate) mod completion;
#[cfg(feature = "local")]
pub(crate) mod controller;
pub(crate) mod dashboard;
pub(crate) mod delete;
pub(crate) mod down;
pub(crate) mod edges;
pub(crate) mod edit;
pub(crate) mod error_service;
pub(crate) mod explain;
pub(crate) mod fault;
pub(crate) mod get;
#[cfg(feature = "local")]
pub(crate) mod init;
pub(crate) mod logs;
pub(crate) mod manifest;
pub(crate) mod profile;
#[cfg(feature = "local")]
pub(crate) mod proxy;
pub(crate) mod ps;
#[cfg(feature = "local")]
pub(crate) mod redirect;
pub(crate) mod restart;
pub(crate) mod routes;
#[cfg(feature = "local")]
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod set;
pub(crate) mod split;
pub(crate) mod stat;
pub(crate) mod tap;
pub(crate) mod top;
#[cfg(feature = "local")]
pub(crate) mod up;
pub(crate) mod version;

use crate::args::{Cli, Command, Watch};
use anyhow::{Context, Result};
use std::process::ExitCode;

/// Runs the command; those that talk to the mesh on a runtime of one thread.
pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    let global = cli.global;
    match cli.command {
        Command::Profile(args) => profile::run(&args, &global),
        Command::Completion(args) => completion::run(&args, &global),
        #[cfg(feature = "local")]
        Command::Proxy(args) => proxy::run(args),
        #[cfg(feature = "local")]
        Command::Init(args) => init::run(&args),
        #[cfg(feature = "local")]
        Command::Redirect(args) => redirect::run(&args),
        #[cfg(feature = "local")]
        Command::Controller(args) => controller::run(args),
        command => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("starting the runtime")?
            .block_on(async {
                match command {
                    #[cfg(feature = "local")]
                    Command::Up(args) => up::run(args, &global).await,
                    Command::Down(args) => down::run(args, &global).await,
                    Command::Ps(args) => ps::run(args, &global).await,
                    Command::Logs(args) => logs::run(args, &global).await,
                    Command::Scale(args) => scale::run(args, &global).await,
                    Command::Set(args) => set::run(args, &global).await,
                    Command::Canary(args) => canary::run(args, &global).await,
                    Command::Restart(args) => restart::run(args, &global).await,
                    #[cfg(feature = "local")]
                    Command::Run(args) => run::run(args, &global).await,
                    Command::Explain(args) => explain::run(args, &global).await,
                    Command::Apply(args) => apply::run(args, &global).await,
                    Command::Get(args) => get::run(args, &global).await,
                    Command::Edit(args) => edit::run(args, &global).await,
                    Command::Delete(args) => delete::run(args, &global).await,
                    Command::Split(args) => split::run(args, &global).await,
                    Command::Fault(args) => fault::run(args, &global).await,
                    Command::ErrorService(args) => error_service::run(&args).await,
                    Command::Check(args) => check::run(args, &global).await,
                    Command::Dashboard(args) => dashboard::run(args, &global).await,
                    Command::Version(args) => version::run(args, &global).await,
                    Command::Watch(watch) | Command::Viz(watch) => match watch {
                        Watch::Stat(args) => stat::run(args, &global).await,
                        Watch::Routes(args) => routes::run(args, &global).await,
                        Watch::Edges(args) => edges::run(args, &global).await,
                        Watch::Top(args) => top::run(args, &global).await,
                        Watch::Tap(args) => tap::run(args, &global).await,
                    },
                    Command::Profile(_) | Command::Completion(_) => {
                        unreachable!("handled above")
                    }
                    #[cfg(feature = "local")]
                    Command::Proxy(_)
                    | Command::Init(_)
                    | Command::Redirect(_)
                    | Command::Controller(_) => unreachable!("handled above"),
                }
            }),
    }
}
