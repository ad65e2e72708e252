//! The `webapp` service: pages for people, made of what `authors` and `books` answer.

mod authors;
mod books;
mod flash;
mod pages;

use crate::{
    knobs::Knobs,
    rest::Failure,
    serve::{self, Listen},
    site::Site,
    store::Object,
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use std::sync::Arc;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    knobs: Knobs,
    /// URL of the authors service
    #[arg(long, env, default_value = "http://authors:7001")]
    authors_site: String,
    /// URL of the books service
    #[arg(long, env, default_value = "http://books:7002")]
    books_site: String,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let sites = Sites {
        authors: Site::new(&args.authors_site)?,
        books: Site::new(&args.books_site)?,
    };
    serve::serve("webapp", args.listen, args.knobs.apply(router(sites))).await
}

struct Sites {
    authors: Site,
    books: Site,
}

type Shop = State<Arc<Sites>>;
type Page = Result<Response, Oops>;

fn router(sites: Sites) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/ping", get(|| async { "pong" }))
        .route("/reset", get(reset))
        .route("/authors", post(authors::create))
        .route("/authors/{id}", get(authors::show))
        .route(
            "/authors/{id}/edit",
            get(authors::edit).post(authors::update),
        )
        .route("/authors/{id}/delete", post(authors::delete))
        .route("/books", post(books::create))
        .route("/books/{id}", get(books::show))
        .route("/books/{id}/edit", get(books::edit).post(books::update))
        .route("/books/{id}/delete", post(books::delete))
        .with_state(Arc::new(sites))
}

async fn index(State(shop): Shop, headers: HeaderMap) -> Page {
    let books = shop.books.list("/books.json?order=lower(title)").await?;
    let authors = shop
        .authors
        .list("/authors.json?order=lower(last_name)")
        .await?;
    Ok(flash::show(&headers, |message| {
        pages::index(&books, &authors, message)
    }))
}

/// Removes what the traffic service left behind.
async fn reset(State(shop): Shop) -> Page {
    for author in shop.authors.list("/authors.json?last_name=Cline").await? {
        shop.authors
            .delete(&format!("/authors/{}.json", id(&author)))
            .await?;
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn id(object: &Object) -> i64 {
    object.get("id").and_then(Value::as_i64).unwrap_or_default()
}

/// The error of a failed upstream, rendered as a page.
struct Oops(Failure);

impl From<Failure> for Oops {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<reqwest::Error> for Oops {
    fn from(error: reqwest::Error) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0.0);
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Html(pages::oops().into_string()),
        )
            .into_response()
    }
}
