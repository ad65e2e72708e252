//! The `books` service. Every create and update asks `authors` whether the author exists.

use crate::{
    knobs::Knobs,
    rest::{self, Collection, Failure, Problems, text},
    serve::{self, Listen},
    site::Site,
    store::{Database, Object, Schema, Store},
};
use serde_json::Value;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    knobs: Knobs,
    /// URL of the authors service
    #[arg(long, env, default_value = "http://authors:7001")]
    authors_site: String,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let books = Books {
        store: Store::open(SCHEMA, &args.database)?,
        authors: Site::new(&args.authors_site)?,
    };
    serve::serve("books", args.listen, args.knobs.apply(rest::router(books))).await
}

pub(crate) struct Books {
    store: Store,
    authors: Site,
}

impl Collection for Books {
    const NAME: &'static str = "books";

    fn store(&self) -> &Store {
        &self.store
    }

    async fn check(&self, _id: Option<i64>, object: &Object) -> Result<Problems, Failure> {
        let mut problems = Problems::new();
        if text(object, "title").is_none() {
            problems.insert("title", vec!["can't be blank".to_owned()]);
        }
        if integer(object, "pages").is_none_or(|pages| pages <= 0) {
            problems.insert("pages", vec!["must be a number greater than 0".to_owned()]);
        }
        let exists = match integer(object, "author_id") {
            Some(author) => {
                self.authors
                    .exists(&format!("/authors/{author}.json"))
                    .await?
            }
            None => false,
        };
        if !exists {
            problems.insert("author_id", vec!["does not exist".to_owned()]);
        }
        Ok(problems)
    }
}

fn integer(object: &Object, field: &str) -> Option<i64> {
    object.get(field).and_then(Value::as_i64)
}

const SCHEMA: Schema = Schema {
    table: "books",
    columns: &["title", "pages", "author_id"],
    create: "CREATE TABLE IF NOT EXISTS books (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        title TEXT NOT NULL,
        pages INTEGER NOT NULL,
        author_id INTEGER NOT NULL,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
        updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')))",
    seed: "INSERT INTO books (title, pages, author_id) VALUES
        ('Frankenstein', 280, 1), ('The Last Man', 479, 1),
        ('Twenty Thousand Leagues Under the Sea', 426, 2), ('Around the World in Eighty Days', 252, 2),
        ('Pride and Prejudice', 432, 3), ('Emma', 474, 3), ('Persuasion', 249, 3),
        ('Moby-Dick', 635, 4), ('Wuthering Heights', 416, 5), ('Dracula', 418, 6),
        ('Through the Looking-Glass', 228, 7), ('Life on the Mississippi', 624, 8),
        ('Middlemarch', 880, 9), ('Silas Marner', 211, 9), ('The Picture of Dorian Gray', 254, 10)",
};
