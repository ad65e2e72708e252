//! The `authors` service. Deleting an author deletes their books, through `books`.

use crate::{
    knobs::Knobs,
    rest::{self, Collection, Failure, Problems, text},
    serve::{self, Listen},
    site::Site,
    store::{Database, Object, Schema, Store},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    knobs: Knobs,
    /// URL of the books service
    #[arg(long, env, default_value = "http://books:7002")]
    books_site: String,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let authors = Authors {
        store: Store::open(SCHEMA, &args.database)?,
        books: Site::new(&args.books_site)?,
    };
    serve::serve(
        "authors",
        args.listen,
        args.knobs.apply(rest::router(authors)),
    )
    .await
}

pub(crate) struct Authors {
    store: Store,
    books: Site,
}

impl Collection for Authors {
    const NAME: &'static str = "authors";

    fn store(&self) -> &Store {
        &self.store
    }

    async fn check(&self, id: Option<i64>, object: &Object) -> Result<Problems, Failure> {
        let mut problems = Problems::new();
        for field in ["first_name", "last_name"] {
            if text(object, field).is_none() {
                problems.insert(field, vec!["can't be blank".to_owned()]);
            }
        }
        if let (Some(first), Some(last)) = (text(object, "first_name"), text(object, "last_name")) {
            let filters = [
                ("first_name".to_owned(), first.to_owned()),
                ("last_name".to_owned(), last.to_owned()),
            ];
            let same = self.store.list(&filters, None)?;
            if same
                .iter()
                .any(|other| other.get("id").and_then(serde_json::Value::as_i64) != id)
            {
                problems.insert(
                    "first_name",
                    vec!["and last name are not unique".to_owned()],
                );
            }
        }
        Ok(problems)
    }

    async fn before_delete(&self, id: i64) -> Result<(), Failure> {
        let books = self
            .books
            .list(&format!("/books.json?author_id={id}"))
            .await?;
        for book in books {
            if let Some(book) = book.get("id").and_then(serde_json::Value::as_i64) {
                self.books.delete(&format!("/books/{book}.json")).await?;
            }
        }
        Ok(())
    }
}

const SCHEMA: Schema = Schema {
    table: "authors",
    columns: &["first_name", "last_name"],
    create: "CREATE TABLE IF NOT EXISTS authors (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        first_name TEXT NOT NULL,
        last_name TEXT NOT NULL,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')),
        updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ')))",
    seed: "INSERT INTO authors (first_name, last_name) VALUES
        ('Mary', 'Shelley'), ('Jules', 'Verne'), ('Jane', 'Austen'), ('Herman', 'Melville'),
        ('Emily', 'Brontë'), ('Bram', 'Stoker'), ('Lewis', 'Carroll'), ('Mark', 'Twain'),
        ('George', 'Eliot'), ('Oscar', 'Wilde')",
};
