//! The JSON API.

use super::Web;
use crate::catalogue;
use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tonic::Status;

#[derive(Debug, Serialize)]
pub(super) struct Emoji {
    shortcode: String,
    unicode: String,
}

/// `GET /api/list`: the ballot.
pub(super) async fn list(State(web): State<Arc<Web>>) -> Result<Json<Vec<Emoji>>, Failure> {
    let list = web.emojis.list().await?;
    let emoji = list.into_iter().map(|emoji| Emoji {
        shortcode: emoji.shortcode,
        unicode: emoji.unicode,
    });
    Ok(Json(emoji.collect()))
}

#[derive(Debug, Deserialize)]
pub(super) struct Ballot {
    choice: Option<String>,
}

/// `GET /api/vote?choice=:doughnut:`: as the original does it, a vote by GET.
pub(super) async fn vote(
    State(web): State<Arc<Web>>,
    ballot: Result<Query<Ballot>, QueryRejection>,
) -> Result<(), Failure> {
    let Query(Ballot { choice }) = ballot.map_err(|error| Failure::refused(&error.to_string()))?;
    let Some(choice) = choice.filter(|choice| !choice.is_empty()) else {
        return Err(Failure::refused("there is no choice"));
    };
    let known = web.emojis.find(&choice).await?;
    let known = known.and_then(|emoji| catalogue::by_shortcode(&emoji.shortcode));
    let Some(entry) = known else {
        return Err(Failure::refused(&format!("there is no emoji {choice}")));
    };
    Ok(web.votes.vote(entry).await?)
}

#[derive(Debug, Serialize)]
pub(super) struct Rank {
    shortcode: String,
    unicode: String,
    /// A number, as a string.
    votes: String,
}

/// `GET /api/leaderboard`: who has votes, the most first.
pub(super) async fn leaderboard(State(web): State<Arc<Web>>) -> Result<Json<Vec<Rank>>, Failure> {
    let mut ranks = Vec::new();
    for result in web.votes.results().await? {
        let emoji = web.emojis.find(&result.shortcode).await?;
        ranks.push(Rank {
            shortcode: result.shortcode,
            unicode: emoji.unwrap_or_default().unicode,
            votes: result.votes.to_string(),
        });
    }
    Ok(Json(ranks))
}

/// An error response with the body `{"error": …}`.
#[derive(Debug)]
pub(super) struct Failure(StatusCode, String);

impl Failure {
    fn refused(why: &str) -> Self {
        Self(StatusCode::BAD_REQUEST, why.to_owned())
    }
}

impl From<Status> for Failure {
    /// In the words of gRPC's Go library, which is what the original passes on.
    fn from(status: Status) -> Self {
        let (code, message) = (status.code(), status.message());
        let text = format!("rpc error: code = {code:?} desc = {message}");
        Self(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Body {
            error: String,
        }

        let Self(status, error) = self;
        if status.is_server_error() {
            eprintln!("{error}");
        }
        (status, Json(Body { error })).into_response()
    }
}
