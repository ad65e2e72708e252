//! The emoji election: one program, four services.
//!
//! `web` shows the ballot to people and asks `emoji` and `voting` over gRPC; `vote-bot` votes and
//! votes, over HTTP. None of them knows of a mesh. Votes for the doughnut fail, which is what the
//! mesh is to find out.

mod catalogue;
mod emoji;
mod grpc;
mod messages;
mod serve;
#[cfg(test)]
mod tests;
mod vote_bot;
mod voting;
mod web;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(version, about = "The emoji election demo application")]
struct Args {
    #[command(subcommand)]
    service: Service,
}

#[derive(Debug, Subcommand)]
enum Service {
    /// The pages and the JSON API
    Web(web::Args),
    /// The gRPC service that knows all emoji
    Emoji(emoji::Args),
    /// The gRPC service that counts votes
    Voting(voting::Args),
    /// A voter who never stops
    VoteBot(vote_bot::Args),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let result = match Args::parse().service {
        Service::Web(args) => web::run(args).await,
        Service::Emoji(args) => emoji::run(args).await,
        Service::Voting(args) => voting::run(args).await,
        Service::VoteBot(args) => vote_bot::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
