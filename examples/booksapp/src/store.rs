//! One SQLite table of JSON-shaped rows, with the few queries both services need.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params_from_iter, types::ValueRef};
use serde_json::{Map, Value};
use std::{path::PathBuf, sync::Mutex, time::Duration};

/// A row as the JSON API shows it.
pub(crate) type Object = Map<String, Value>;

/// Name of a table and its writable columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema {
    pub(crate) table: &'static str,
    pub(crate) columns: &'static [&'static str],
    pub(crate) create: &'static str,
    pub(crate) seed: &'static str,
}

/// The option for the database file.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Database {
    /// The SQLite file; without it the data is lost when the process ends
    #[arg(long, env)]
    database: Option<PathBuf>,
}

/// The table. Queries take microseconds, so they run on the calling thread, one at a time.
#[derive(Debug)]
pub(crate) struct Store {
    schema: Schema,
    connection: Mutex<Connection>,
}

impl Store {
    /// Opens the table and plants the seeds in an empty one.
    pub(crate) fn open(schema: Schema, database: &Database) -> anyhow::Result<Self> {
        let connection = match &database.database {
            None => Connection::open_in_memory()?,
            Some(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                Connection::open(path)?
            }
        };
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        // In KiB, when negative: these tables are small, and so should the program be.
        connection.pragma_update(None, "cache_size", -256)?;
        connection.execute_batch(schema.create)?;
        let empty = format!("SELECT count(*) = 0 FROM {}", schema.table);
        if connection.query_row(&empty, [], |row| row.get(0))? {
            connection.execute_batch(schema.seed)?;
        }
        Ok(Self {
            schema,
            connection: Mutex::new(connection),
        })
    }

    /// The rows that equal `filters` in the columns named there, in `order`.
    pub(crate) fn list(
        &self,
        filters: &[(String, String)],
        order: Option<&str>,
    ) -> rusqlite::Result<Vec<Object>> {
        let known = filters.iter().filter(|(column, _)| self.is_column(column));
        let (conditions, values): (Vec<_>, Vec<_>) = known
            .map(|(column, value)| (format!("CAST({column} AS TEXT) = ?"), value))
            .unzip();
        let conditions = if conditions.is_empty() {
            "1".to_owned()
        } else {
            conditions.join(" AND ")
        };
        let order = order
            .and_then(|order| self.order(order))
            .unwrap_or_else(|| "id".to_owned());
        let query = format!(
            "SELECT * FROM {} WHERE {conditions} ORDER BY {order}",
            self.schema.table
        );
        self.with(|connection| {
            connection
                .prepare_cached(&query)?
                .query_map(params_from_iter(values), object)?
                .collect()
        })
    }

    /// The row `id`.
    pub(crate) fn get(&self, id: i64) -> rusqlite::Result<Option<Object>> {
        let query = format!("SELECT * FROM {} WHERE id = ?", self.schema.table);
        self.with(|connection| {
            connection
                .prepare_cached(&query)?
                .query_row([id], object)
                .optional()
        })
    }

    /// Writes a new row; absent columns become null.
    pub(crate) fn insert(&self, object: &Object) -> rusqlite::Result<i64> {
        let columns = self.schema.columns;
        let marks = vec!["?"; columns.len()].join(", ");
        let query = format!(
            "INSERT INTO {} ({}) VALUES ({marks})",
            self.schema.table,
            columns.join(", ")
        );
        let values: Vec<_> = columns
            .iter()
            .map(|column| Cell(object.get(*column)))
            .collect();
        self.with(|connection| {
            connection
                .prepare_cached(&query)?
                .execute(params_from_iter(&values))?;
            Ok(connection.last_insert_rowid())
        })
    }

    /// Overwrites the row `id`.
    pub(crate) fn update(&self, id: i64, object: &Object) -> rusqlite::Result<()> {
        let columns = self.schema.columns;
        let assignments = columns
            .iter()
            .map(|column| format!("{column} = ?"))
            .collect::<Vec<_>>()
            .join(", ");
        let query = format!(
            "UPDATE {} SET {assignments}, updated_at = strftime('%Y-%m-%dT%H:%M:%fZ') WHERE id = {id}",
            self.schema.table
        );
        let values: Vec<_> = columns
            .iter()
            .map(|column| Cell(object.get(*column)))
            .collect();
        self.with(|connection| {
            connection
                .prepare_cached(&query)?
                .execute(params_from_iter(&values))
                .map(drop)
        })
    }

    /// Removes the row `id`; whether there was one.
    pub(crate) fn delete(&self, id: i64) -> rusqlite::Result<bool> {
        let query = format!("DELETE FROM {} WHERE id = ?", self.schema.table);
        self.with(|connection| Ok(connection.prepare_cached(&query)?.execute([id])? > 0))
    }

    fn with<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<T> {
        query(
            &self
                .connection
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    fn is_column(&self, name: &str) -> bool {
        name == "id" || self.schema.columns.contains(&name)
    }

    /// `column` or `lower(column)`, of columns there are: nothing else reaches the query.
    fn order(&self, order: &str) -> Option<String> {
        let column = order
            .strip_prefix("lower(")
            .and_then(|rest| rest.strip_suffix(')'));
        self.is_column(column.unwrap_or(order))
            .then(|| order.to_owned())
    }
}

fn object(row: &Row<'_>) -> rusqlite::Result<Object> {
    let columns = row.as_ref().column_names();
    columns
        .iter()
        .enumerate()
        .map(|(i, name)| Ok(((*name).to_owned(), json(row.get_ref(i)?))))
        .collect()
}

fn json(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null | ValueRef::Blob(_) => Value::Null,
        ValueRef::Integer(n) => n.into(),
        ValueRef::Real(x) => x.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
    }
}

/// A JSON value on its way into a column.
struct Cell<'a>(Option<&'a Value>);

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self.0 {
            Some(Value::String(text)) => text.as_str().into(),
            Some(value) if value.is_i64() => value.as_i64().unwrap_or_default().into(),
            _ => rusqlite::types::Null.into(),
        })
    }
}
