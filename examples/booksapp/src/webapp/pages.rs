//! The pages as HTML.

use super::id;
use crate::store::Object;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

const STYLE: &str = include_str!("style.css");

fn page(title: &str, message: Option<&str>, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · Bookshop" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header { a href="/" { "Bookshop" } }
                main {
                    @if let Some(message) = message { p.flash role="status" { (message) } }
                    (body)
                }
            }
        }
    }
}

/// Both lists, and the forms to add to them.
pub(super) fn index(books: &[Object], authors: &[Object], message: Option<&str>) -> Markup {
    let body = html! {
        div.columns {
            section {
                h2 { "Books" }
                ul { @for book in books { li { a href={ "/books/" (id(book)) } { (text(book, "title")) } } } }
                form.card method="post" action="/books" {
                    h3 { "Add a book" }
                    (field("Title", "title", "text", ""))
                    (field("Pages", "pages", "number", ""))
                    (author_select(authors, None))
                    button { "Add book" }
                }
            }
            section {
                h2 { "Authors" }
                ul { @for author in authors { li { a href={ "/authors/" (id(author)) } { (name(author)) } } } }
                form.card method="post" action="/authors" {
                    h3 { "Add an author" }
                    (field("First name", "first_name", "text", ""))
                    (field("Last name", "last_name", "text", ""))
                    button { "Add author" }
                }
            }
        }
    };
    page("Home", message, &body)
}

/// One author and their books.
pub(super) fn author(author: &Object, books: &[Object], message: Option<&str>) -> Markup {
    let body = html! {
        h2 { (name(author)) }
        ul { @for book in books { li { a href={ "/books/" (id(book)) } { (text(book, "title")) } } } }
        (actions("authors", id(author)))
    };
    page(&name(author), message, &body)
}

/// One book.
pub(super) fn book(book: &Object, author: Option<&Object>, message: Option<&str>) -> Markup {
    let title = text(book, "title");
    let body = html! {
        h2 { (title) }
        p {
            (text(book, "pages")) " pages"
            @if let Some(author) = author { " by " a href={ "/authors/" (id(author)) } { (name(author)) } }
        }
        (actions("books", id(book)))
    };
    page(&title, message, &body)
}

pub(super) fn edit_author(author: &Object, message: Option<&str>) -> Markup {
    let body = html! {
        form.card method="post" action={ "/authors/" (id(author)) "/edit" } {
            h3 { "Edit " (name(author)) }
            (field("First name", "first_name", "text", &text(author, "first_name")))
            (field("Last name", "last_name", "text", &text(author, "last_name")))
            button { "Save" }
        }
    };
    page("Edit author", message, &body)
}

pub(super) fn edit_book(book: &Object, authors: &[Object], message: Option<&str>) -> Markup {
    let body = html! {
        form.card method="post" action={ "/books/" (id(book)) "/edit" } {
            h3 { "Edit " (text(book, "title")) }
            (field("Title", "title", "text", &text(book, "title")))
            (field("Pages", "pages", "number", &text(book, "pages")))
            (author_select(authors, book.get("author_id").and_then(Value::as_i64)))
            button { "Save" }
        }
    };
    page("Edit book", message, &body)
}

/// Renders the page for failures of other services.
pub(super) fn oops() -> Markup {
    let body = html! {
        h2 { "Internal Server Error" }
        p { "A service this page needs did not answer as it should. Try again." }
    };
    page("Error", None, &body)
}

fn actions(collection: &str, id: i64) -> Markup {
    html! {
        form.actions method="post" action={ "/" (collection) "/" (id) "/delete" } {
            a.button href={ "/" (collection) "/" (id) "/edit" } { "Edit" }
            button.danger { "Delete" }
        }
    }
}

fn field(label: &str, name: &str, kind: &str, value: &str) -> Markup {
    html! { label { span { (label) } input name=(name) type=(kind) value=(value); } }
}

fn author_select(authors: &[Object], chosen: Option<i64>) -> Markup {
    html! {
        label {
            span { "Author" }
            select name="author_id" {
                @for author in authors {
                    option value=(id(author)) selected[chosen == Some(id(author))] { (name(author)) }
                }
            }
        }
    }
}

fn name(author: &Object) -> String {
    format!(
        "{} {}",
        text(author, "first_name"),
        text(author, "last_name")
    )
}

fn text(object: &Object, field: &str) -> String {
    match object.get(field) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}
