//! Development tasks: `cargo xtask test` is what every change must pass, `cargo xtask figures` and
//! `cargo xtask soak` what takes longer than a change can wait, or needs a quiet machine.

mod figures;
mod process;
mod soak;
mod test;

use std::{env, process::ExitCode};

const USAGE: &str = "\
Usage: cargo xtask <TASK>

Tasks:
  test                    everything a change must pass: format, lints, tests, docs, bills
  figures                 times and memory of `mesh up`, against what they are to reach
  soak [--minutes N]      an hour of booksapp traffic: does memory of any process grow?
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match args[..] {
        ["test"] => test::run(),
        ["figures"] => figures::run(),
        ["soak"] => soak::run(60),
        ["soak", "--minutes", minutes] => match minutes.parse() {
            Ok(minutes) if minutes > 0 => soak::run(minutes),
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
