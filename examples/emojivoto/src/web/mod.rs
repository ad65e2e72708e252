//! The `web` service: pages and a JSON API for people, made of what `emoji` and `voting` answer.

mod api;
mod pages;

use crate::{emoji::Emojis, serve, voting::Votes};
use axum::{Router, routing::get};
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The port on 127.0.0.1 that the mesh wants; wins over --web-port
    #[arg(long, env)]
    port: Option<u16>,
    /// The port on 127.0.0.1
    #[arg(long, env, default_value_t = 8080)]
    web_port: u16,
    /// Address of the emoji service, as host:port
    #[arg(long, env, default_value = "emoji-svc:8080")]
    emojisvc_host: String,
    /// Address of the voting service, as host:port
    #[arg(long, env, default_value = "voting-svc:8080")]
    votingsvc_host: String,
    /// Message that the page shows to every visitor
    #[arg(long, env)]
    message_of_the_day: Option<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let web = Web {
        emojis: Emojis::at(&args.emojisvc_host)?,
        votes: Votes::at(&args.votingsvc_host)?,
        message: args.message_of_the_day,
    };
    let port = args.port.unwrap_or(args.web_port);
    serve::serve("web", port, router(web)).await
}

pub(crate) struct Web {
    pub(crate) emojis: Emojis,
    pub(crate) votes: Votes,
    pub(crate) message: Option<String>,
}

pub(crate) fn router(web: Web) -> Router {
    Router::new()
        .route("/", get(pages::ballot))
        .route("/leaderboard", get(pages::leaderboard))
        .route("/js", get(pages::script))
        .route("/img/favicon.ico", get(pages::icon))
        .route("/api/list", get(api::list))
        .route("/api/vote", get(api::vote))
        .route("/api/leaderboard", get(api::leaderboard))
        .with_state(Arc::new(web))
}
