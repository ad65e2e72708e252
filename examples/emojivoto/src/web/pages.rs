//! The pages: a shell that a small script fills.

use super::Web;
use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{Html, IntoResponse},
};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::sync::Arc;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const ICON: &str = include_str!("icon.svg");

pub(super) async fn ballot(State(web): State<Arc<Web>>) -> impl IntoResponse {
    let intro = html! {
        h1 { "Emoji vote" }
        p { "Tap your favourite. You may vote as often as you like; a bot does, too." }
    };
    shell("ballot", &intro, web.message.as_deref())
}

pub(super) async fn leaderboard(State(web): State<Arc<Web>>) -> impl IntoResponse {
    let intro = html! {
        h1 { "Leaderboard" }
        p { "All votes since the voting service was started." }
    };
    shell("leaderboard", &intro, web.message.as_deref())
}

pub(super) async fn script() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], SCRIPT)
}

pub(super) async fn icon() -> impl IntoResponse {
    ([(CONTENT_TYPE, "image/svg+xml")], ICON)
}

fn shell(page: &str, intro: &Markup, message: Option<&str>) -> Html<String> {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Emoji vote" }
                link rel="icon" href="/img/favicon.ico" type="image/svg+xml";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    a href="/" { "🗳️ Emoji vote" }
                    nav {
                        a href="/" aria-current=[(page == "ballot").then_some("page")] { "Vote" }
                        a href="/leaderboard" aria-current=[(page == "leaderboard").then_some("page")] {
                            "Leaderboard"
                        }
                    }
                }
                main data-page=(page) {
                    @if let Some(message) = message {
                        p.message { (message) }
                    }
                    (intro)
                    div #content aria-live="polite" { "…" }
                    noscript { p { "This page needs its script." } }
                }
                script src="/js" {}
            }
        }
    };
    Html(page.into_string())
}
