//! The bookshop: one program, four services.
//!
//! `webapp` shows pages to people and asks `authors` and `books`, which keep their data in
//! SQLite; `traffic` is a restless customer. They call each other by plain names
//! (`http://books:7002`) and know nothing of a mesh.

mod authors;
mod books;
mod knobs;
mod rest;
mod serve;
mod site;
mod store;
mod traffic;
mod webapp;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(version, about = "The bookshop demo application")]
struct Args {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// The HTML pages
    Webapp(webapp::Args),
    /// The JSON API of authors
    Authors(authors::Args),
    /// The JSON API of books
    Books(books::Args),
    /// A customer who never stops
    Traffic(traffic::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Args::parse().service {
        Service::Webapp(args) => webapp::run(args).await,
        Service::Authors(args) => authors::run(args).await,
        Service::Books(args) => books::run(args).await,
        Service::Traffic(args) => traffic::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
