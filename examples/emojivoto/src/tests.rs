//! The three services together, in one process, on ports of their own.

use crate::{emoji, emoji::Emojis, voting, voting::Votes, web};
use axum::Router;
use clap::Parser;
use http_body_util::BodyExt as _;
use mesh_profile::proto;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr};
use tokio::net::TcpListener;
use tonic::Code;
use tower::ServiceExt as _;

#[derive(Parser)]
struct Voting {
    #[command(flatten)]
    knobs: voting::Knobs,
}

fn voting(args: &[&str]) -> Router {
    let args = [&["voting"], args].concat();
    voting::router(Voting::parse_from(args).knobs)
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    addr
}

/// The web service over freshly started ones.
async fn election(args: &[&str]) -> Router {
    let (emoji, voting) = (serve(emoji::router()).await, serve(voting(args)).await);
    web::router(web::Web {
        emojis: Emojis::at(&emoji.to_string()).unwrap(),
        votes: Votes::at(&voting.to_string()).unwrap(),
        message: Some("<b>today</b>".to_owned()),
    })
}

async fn get(router: &Router, path: &str) -> (u16, String) {
    let req = axum::http::Request::get(path);
    let req = req.body(axum::body::Body::empty()).unwrap();
    let rsp = router.clone().oneshot(req).await.unwrap();
    let status = rsp.status().as_u16();
    let body = rsp.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_json(router: &Router, path: &str) -> (u16, Value) {
    let (status, body) = get(router, path).await;
    (status, serde_json::from_str(&body).unwrap())
}

/// The status that calling `path` comes to.
async fn code(router: &Router, path: &str) -> Code {
    let req = axum::http::Request::post(path)
        .header("content-type", "application/grpc")
        .body(axum::body::Body::from(&[0_u8; 5][..]))
        .unwrap();
    let rsp = router.clone().oneshot(req).await.unwrap();
    let (head, body) = rsp.into_parts();
    let trailers = body.collect().await.unwrap().trailers().cloned();
    let status = trailers.unwrap_or_default().get("grpc-status").cloned();
    let status = status.or(head.headers.get("grpc-status").cloned());
    Code::from_bytes(status.unwrap().as_bytes())
}

#[tokio::test]
async fn the_methods_of_the_documents_are_those_that_are_served() {
    for (document, router, others) in [
        (include_str!("../proto/emoji.proto"), emoji::router(), 2),
        (include_str!("../proto/voting.proto"), voting(&[]), 101),
    ] {
        let profile = proto::import(document, "document").unwrap();
        let regexes = profile.routes.iter().map(|it| &it.condition.path_regex);
        let paths: BTreeSet<_> = regexes
            .map(|regex| regex.as_ref().unwrap().replace('\\', ""))
            .collect();
        assert_eq!(paths.len(), others);
        for path in paths {
            let expected = match path.as_str() {
                "/emojivoto.v1.VotingService/VoteDoughnut" => Code::Unknown,
                _ => Code::Ok,
            };
            assert_eq!(code(&router, &path).await, expected, "{path}");
        }
    }
    let missing = "/emojivoto.v1.VotingService/VoteBrusselsSprout";
    assert_eq!(code(&voting(&[]), missing).await, Code::Unimplemented);
}

#[tokio::test]
async fn a_vote_counts_and_one_for_the_doughnut_does_not() {
    let web = election(&[]).await;
    let (status, list) = get_json(&web, "/api/list").await;
    assert_eq!(status, 200);
    assert_eq!(list.as_array().unwrap().len(), 100);
    assert_eq!(list[0], json!({"shortcode": ":grinning:", "unicode": "😀"}));

    for (choice, expected) in [
        (":tada:", (200, String::new())),
        (":beer:", (200, String::new())),
        (":beer:", (200, String::new())),
        (
            ":doughnut:",
            (
                500,
                r#"{"error":"rpc error: code = Unknown desc = no votes for doughnuts"}"#.to_owned(),
            ),
        ),
        (
            ":sprout:",
            (400, r#"{"error":"there is no emoji :sprout:"}"#.to_owned()),
        ),
        ("", (400, r#"{"error":"there is no choice"}"#.to_owned())),
    ] {
        let answer = get(&web, &format!("/api/vote?choice={choice}")).await;
        assert_eq!(answer, expected, "{choice}");
    }
    assert_eq!(get(&web, "/api/vote").await.0, 400);
    assert_eq!(
        get_json(&web, "/api/leaderboard").await,
        (
            200,
            json!([
                {"shortcode": ":beer:", "unicode": "🍺", "votes": "2"},
                {"shortcode": ":tada:", "unicode": "🎉", "votes": "1"},
            ])
        )
    );
}

#[tokio::test]
async fn the_doughnut_is_as_good_as_any_when_nothing_is_to_fail() {
    let web = election(&["--failure-rate", "0"]).await;
    assert_eq!(get(&web, "/api/vote?choice=:doughnut:").await.0, 200);
    let (_, ranks) = get_json(&web, "/api/leaderboard").await;
    assert_eq!(ranks[0]["votes"], "1");
}

#[tokio::test]
async fn a_service_that_is_away_is_an_error_until_it_is_back() {
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = gone.local_addr().unwrap();
    drop(gone);
    let web = web::router(web::Web {
        emojis: Emojis::at(&addr.to_string()).unwrap(),
        votes: Votes::at(&addr.to_string()).unwrap(),
        message: None,
    });
    let (status, error) = get_json(&web, "/api/list").await;
    assert_eq!(status, 500);
    let text = error["error"].as_str().unwrap();
    assert!(text.starts_with("rpc error: code = Unavailable"), "{text}");

    let listener = TcpListener::bind(addr).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, emoji::router()).await });
    assert_eq!(get(&web, "/api/list").await.0, 200);
}

#[tokio::test]
async fn the_pages_are_there_and_say_the_message_of_the_day() {
    let web = election(&[]).await;
    for page in ["/", "/leaderboard"] {
        let (status, text) = get(&web, page).await;
        assert_eq!(status, 200);
        assert!(text.contains("&lt;b&gt;today"), "{text}");
    }
    for file in ["/js", "/img/favicon.ico"] {
        let (status, text) = get(&web, file).await;
        assert_eq!((status, text.is_empty()), (200, false));
    }
}
