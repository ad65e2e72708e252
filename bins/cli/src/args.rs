//! The commands and flags.

use crate::cmd;
use clap::{Parser, Subcommand};

/// A service mesh on one machine, as one program.
#[derive(Debug, Parser)]
#[command(
    name = "mesh",
    version,
    propagate_version = false,
    after_help = "Examples:\n  mesh up examples/booksapp\n  mesh stat deploy\n\n\
                  Exit status: 0 for done, 1 for an error or a \"no\", 2 for wrong usage."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags every command takes, before or after its name.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The namespace; without it, that of the running mesh.
    #[arg(short = 'n', long, global = true, value_name = "NAMESPACE")]
    pub(crate) namespace: Option<String>,
    /// The mesh to talk to: a state folder, a socket, or http://HOST:PORT (read-only);
    /// without it, the nearest `.mesh` folder upward.
    #[arg(
        long,
        global = true,
        env = "MESH_API",
        hide_env_values = true,
        value_name = "MESH"
    )]
    pub(crate) api: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "local")]
    Up(cmd::up::Args),
    #[cfg(feature = "local")]
    Init(cmd::init::Args),
    Down(cmd::down::Args),
    Ps(cmd::ps::Args),
    Logs(cmd::logs::Args),
    Restart(cmd::restart::Args),
    Scale(cmd::scale::Args),
    Set(cmd::set::Args),
    #[cfg(feature = "local")]
    Run(cmd::run::Args),
    #[command(flatten)]
    Watch(Watch),
    /// The same commands as Linkerd's extension spells them.
    #[command(
        subcommand,
        disable_help_subcommand = true,
        after_help = "Example:\n  mesh viz stat deploy"
    )]
    Viz(Watch),
    Profile(cmd::profile::Args),
    Canary(cmd::canary::Args),
    Explain(cmd::explain::Args),
    Apply(cmd::apply::Args),
    Get(cmd::get::Args),
    Edit(cmd::edit::Args),
    Delete(cmd::delete::Args),
    Split(cmd::split::Args),
    Fault(cmd::fault::Args),
    ErrorService(cmd::error_service::Args),
    Check(cmd::check::Args),
    Dashboard(cmd::dashboard::Args),
    Version(cmd::version::Args),
    Completion(cmd::completion::Args),
    #[cfg(feature = "local")]
    Proxy(cmd::proxy::Args),
    #[cfg(feature = "local")]
    #[command(hide = true)]
    Redirect(cmd::redirect::Args),
    #[cfg(feature = "local")]
    Controller(cmd::controller::Args),
}

/// Observability commands: `mesh stat` is also `mesh viz stat`.
#[derive(Debug, Subcommand)]
pub(crate) enum Watch {
    Stat(cmd::stat::Args),
    Routes(cmd::routes::Args),
    Edges(cmd::edges::Args),
    Top(cmd::top::Args),
    Tap(cmd::tap::Args),
}

/// A command's own arguments and the global ones, as `line` has them.
///
/// # Panics
///
/// If clap refuses the line.
#[cfg(test)]
pub(crate) fn parsed<A: clap::Args>(line: &str) -> (A, Global) {
    #[derive(clap::Parser)]
    struct Line<A: clap::Args> {
        #[command(flatten)]
        args: A,
        #[command(flatten)]
        global: Global,
    }

    let words = std::iter::once("mesh").chain(line.split_whitespace());
    let line: Line<A> = clap::Parser::try_parse_from(words).unwrap();
    (line.args, line.global)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_help_with_an_example() {
        fn visit(command: &clap::Command, path: &str) {
            for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
                let path = format!("{path} {}", sub.get_name());
                let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
                let after = sub.get_after_help().map(ToString::to_string);
                assert!(!about.is_empty(), "{path} says nothing about itself");
                assert!(
                    after.unwrap_or_default().contains("mesh "),
                    "{path} has no example"
                );
                visit(sub, &path);
            }
        }
        Cli::command().debug_assert();
        visit(&Cli::command(), "mesh");
    }

    #[test]
    fn the_namespace_is_accepted_before_and_after_the_command() {
        for line in ["mesh -n booksapp get sp", "mesh get sp -n booksapp"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.global.namespace.as_deref(), Some("booksapp"), "{line}");
        }
    }

    #[test]
    fn both_spellings_of_stat_are_the_same_command() {
        let plain = Cli::try_parse_from(["mesh", "stat", "deploy"]).unwrap();
        let viz = Cli::try_parse_from(["mesh", "viz", "stat", "deploy"]).unwrap();
        assert!(matches!(plain.command, Command::Watch(Watch::Stat(_))));
        assert!(matches!(viz.command, Command::Viz(Watch::Stat(_))));
    }
}
