//! Development tasks: `cargo xtask test` is what every change must pass, `cargo xtask figures` and
//! `cargo xtask soak` what takes longer than a change can wait, or needs a quiet machine;
//! `cargo xtask fuzz` is either, as long as one likes.

mod figures;
mod fuzz;
mod instructions;
mod libraries;
mod packages;
mod process;
mod properties;
mod protocols;
mod readmes;
mod skips;
mod soak;
mod test;
mod tool;

use std::{env, process::ExitCode, time::Duration};

const USAGE: &str = "\
Usage: cargo xtask <TASK>

Tasks:
  test [STEP]             everything a change must pass, or one step of it
  figures                 times and memory of `mesh up`, against what they are to reach
  fuzz [--minutes N]      each fuzz target for half a minute, or for N minutes
  properties [--cases N]  each property test with 20,000 or N random cases
  protocols               h2spec and the interoperability suite of gRPC; needs Go
  instructions [--bless]  how many instructions the hot path takes; --bless keeps the counts
  soak [--minutes N]      an hour of booksapp traffic: does memory of any process grow?
  soak --restarts N       N rolling restarts at 2,000 requests a second: is any request lost?
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["test"] => test::run(None),
        ["test", step] => test::run(Some(step)),
        ["figures"] => figures::run(),
        ["fuzz"] => fuzz::run(fuzz::Scope::All, Duration::from_secs(30)),
        ["fuzz", "--minutes", minutes] => match minutes.parse::<u64>() {
            Ok(minutes) if minutes > 0 => {
                fuzz::run(fuzz::Scope::All, Duration::from_secs(60 * minutes))
            }
            _ => return usage(),
        },
        ["properties"] => properties::run(20_000),
        ["properties", "--cases", cases] => match cases.parse() {
            Ok(cases) if cases > 0 => properties::run(cases),
            _ => return usage(),
        },
        ["protocols"] => protocols::run(),
        ["instructions"] => instructions::run(false),
        ["instructions", "--bless"] => instructions::run(true),
        ["soak"] => soak::run(60),
        ["soak", "--minutes", minutes] => match minutes.parse() {
            Ok(minutes) if minutes > 0 => soak::run(minutes),
            _ => return usage(),
        },
        ["soak", "--restarts", restarts] => match restarts.parse() {
            Ok(restarts) if restarts > 0 => soak::restarts(restarts),
            _ => return usage(),
        },
        _ => return usage(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}
