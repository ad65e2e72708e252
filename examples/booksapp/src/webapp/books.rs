//! Books' pages and forms.

use super::{Page, Shop, authors::written, flash, pages};
use axum::{
    Form,
    extract::{Path, State},
    http::HeaderMap,
};
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Debug, Deserialize)]
pub(super) struct Book {
    title: String,
    pages: String,
    author_id: String,
}

impl Book {
    /// Numbers as numbers; whatever is not one is for `books` to refuse.
    fn json(&self) -> Value {
        let number = |text: &str| text.trim().parse::<i64>().ok();
        json!({ "title": self.title, "pages": number(&self.pages), "author_id": number(&self.author_id) })
    }
}

pub(super) async fn show(State(shop): Shop, Path(id): Path<String>, headers: HeaderMap) -> Page {
    let Some(book) = shop.books.get(&format!("/books/{id}.json")).await? else {
        return Ok(flash::redirect("/", "Not found"));
    };
    let author = book
        .get("author_id")
        .and_then(Value::as_i64)
        .unwrap_or_default();
    let author = shop.authors.get(&format!("/authors/{author}.json")).await?;
    Ok(flash::show(&headers, |message| {
        pages::book(&book, author.as_ref(), message)
    }))
}

pub(super) async fn edit(State(shop): Shop, Path(id): Path<String>, headers: HeaderMap) -> Page {
    let Some(book) = shop.books.get(&format!("/books/{id}.json")).await? else {
        return Ok(flash::redirect("/", "Not found"));
    };
    let authors = shop
        .authors
        .list("/authors.json?order=lower(last_name)")
        .await?;
    Ok(flash::show(&headers, |message| {
        pages::edit_book(&book, &authors, message)
    }))
}

pub(super) async fn create(State(shop): Shop, Form(book): Form<Book>) -> Page {
    let rsp = shop
        .books
        .request(Method::POST, "/books.json")
        .json(&book.json())
        .send()
        .await?;
    written(rsp, "Book create").await
}

pub(super) async fn update(
    State(shop): Shop,
    Path(id): Path<String>,
    Form(book): Form<Book>,
) -> Page {
    let path = format!("/books/{id}.json");
    // Reads the book before changing it, as a person would.
    if shop.books.get(&path).await?.is_none() {
        return Ok(flash::redirect("/", "Not found"));
    }
    let rsp = shop
        .books
        .request(Method::PUT, &path)
        .json(&book.json())
        .send()
        .await?;
    written(rsp, "Book update").await
}

pub(super) async fn delete(State(shop): Shop, Path(id): Path<String>) -> Page {
    let found = shop.books.delete(&format!("/books/{id}.json")).await?;
    Ok(flash::redirect(
        "/",
        if found { "Book deleted" } else { "Not found" },
    ))
}
