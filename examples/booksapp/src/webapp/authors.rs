//! Authors' pages and forms.

use super::{Page, Shop, flash, pages};
use axum::{
    Form,
    extract::{Path, State},
    http::HeaderMap,
};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Author {
    first_name: String,
    last_name: String,
}

pub(super) async fn show(State(shop): Shop, Path(id): Path<String>, headers: HeaderMap) -> Page {
    let Some(author) = shop.authors.get(&format!("/authors/{id}.json")).await? else {
        return Ok(flash::redirect("/", "Not found"));
    };
    let books = shop
        .books
        .list(&format!("/books.json?author_id={id}"))
        .await?;
    Ok(flash::show(&headers, |message| {
        pages::author(&author, &books, message)
    }))
}

pub(super) async fn edit(State(shop): Shop, Path(id): Path<String>, headers: HeaderMap) -> Page {
    let Some(author) = shop.authors.get(&format!("/authors/{id}.json")).await? else {
        return Ok(flash::redirect("/", "Not found"));
    };
    Ok(flash::show(&headers, |message| {
        pages::edit_author(&author, message)
    }))
}

pub(super) async fn create(State(shop): Shop, Form(author): Form<Author>) -> Page {
    let rsp = shop
        .authors
        .request(Method::POST, "/authors.json")
        .json(&author)
        .send()
        .await?;
    written(rsp, "Author create").await
}

pub(super) async fn update(
    State(shop): Shop,
    Path(id): Path<String>,
    Form(author): Form<Author>,
) -> Page {
    let rsp = shop
        .authors
        .request(Method::PUT, &format!("/authors/{id}.json"))
        .json(&author)
        .send()
        .await?;
    written(rsp, "Author update").await
}

pub(super) async fn delete(State(shop): Shop, Path(id): Path<String>) -> Page {
    let found = shop.authors.delete(&format!("/authors/{id}.json")).await?;
    Ok(flash::redirect(
        "/",
        if found { "Author deleted" } else { "Not found" },
    ))
}

/// Converts the response of a create or an update to a page: the entity, the form with its errors,
/// or the page for failures.
pub(super) async fn written(rsp: reqwest::Response, what: &str) -> Page {
    match rsp.status() {
        status if status.is_success() => {
            let location = rsp
                .headers()
                .get("location")
                .and_then(|value| value.to_str().ok());
            let page = location
                .and_then(|location| location.strip_suffix(".json"))
                .unwrap_or("/")
                .to_owned();
            Ok(flash::redirect(&page, &format!("{what}d")))
        }
        StatusCode::UNPROCESSABLE_ENTITY => {
            let problems: Value = rsp.json().await?;
            Ok(flash::redirect(
                "/",
                &format!("{what} failed: {}", list(&problems)),
            ))
        }
        StatusCode::NOT_FOUND => Ok(flash::redirect("/", "Not found")),
        status => Err(crate::rest::Failure(format!("{what}: {status}")).into()),
    }
}

/// `{"title": ["can't be blank"]}` as `title can't be blank`.
fn list(problems: &Value) -> String {
    let fields = problems.as_object().into_iter().flatten();
    let lines = fields.flat_map(|(field, problems)| {
        let problems = problems
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        problems.map(move |problem| format!("{field} {problem}"))
    });
    lines.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_read_like_sentences() {
        let problems =
            serde_json::json!({ "pages": ["must be a number"], "title": ["can't be blank"] });
        assert_eq!(
            list(&problems),
            "pages must be a number; title can't be blank"
        );
    }
}
