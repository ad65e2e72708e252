//! Table, wide, JSON: rows in, text out.

use anyhow::Result;
use serde::Serialize;
use std::{fmt, process::ExitCode, str::FromStr};

/// Text of a cell without a value.
pub(crate) const NONE: &str = "-";

/// Output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Table,
    /// For people with wide screens.
    Wide,
    /// For programs.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "table" => Ok(Self::Table),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            _ => Err("--output currently only supports table, json and wide".to_owned()),
        }
    }
}

/// Why a command does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It was used wrongly.
    Usage(String),
    /// It names what does not exist.
    Unknown(String),
}

impl From<&str> for Refusal {
    fn from(reason: &str) -> Self {
        Self::Usage(reason.to_owned())
    }
}

impl From<String> for Refusal {
    fn from(reason: String) -> Self {
        Self::Usage(reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(reason) | Self::Unknown(reason) => f.write_str(reason),
        }
    }
}

impl std::error::Error for Refusal {}

/// Ends a command that does nothing.
///
/// # Errors
///
/// Always: the refusal.
pub(crate) fn refuse(refusal: impl Into<Refusal>) -> Result<ExitCode> {
    Err(refusal.into().into())
}

/// The exit code of an error: 2 for wrong usage, 1 for all else.
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(Refusal::Usage(_)) => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// JSON as it is printed: indented by two, with a line end.
pub(crate) fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Which side of a column is even.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Names.
    Left,
    /// Numbers, and all else.
    Right,
}

/// Rows under headings, three blanks between columns.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
    /// True if the last column is padded like the others.
    is_filled: bool,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter();
        Self {
            columns: columns
                .map(|(name, align)| (name.to_owned(), align))
                .collect(),
            rows: Vec::new(),
            is_filled: false,
        }
    }

    /// Fills up the last column too, with trailing blanks.
    pub(crate) fn filled(mut self) -> Self {
        self.is_filled = true;
        self
    }

    /// Adds a row, a cell for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let row: Vec<_> = cells.into_iter().collect();
        debug_assert_eq!(row.len(), self.columns.len(), "a cell for each column");
        self.rows.push(row);
    }

    fn write_row(
        &self,
        f: &mut fmt::Formatter<'_>,
        widths: &[usize],
        cells: &mut dyn Iterator<Item = &str>,
    ) -> fmt::Result {
        let mut line = String::new();
        for (index, (cell, (_, align))) in cells.zip(&self.columns).enumerate() {
            if index > 0 {
                line.push_str("   ");
            }
            // Counts characters, as the padding of std does: names are ASCII, and `√` is one wide.
            let width = widths[index];
            match align {
                Align::Left => line += &format!("{cell:<width$}"),
                Align::Right => line += &format!("{cell:>width$}"),
            }
        }
        let line = if self.is_filled {
            &line
        } else {
            line.trim_end()
        };
        writeln!(f, "{line}")
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |text: &str| text.chars().count();
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, (name, _))| {
                let cells = self.rows.iter().map(|row| width(&row[index]));
                cells.fold(width(name), usize::max)
            })
            .collect();
        let mut names = self.columns.iter().map(|(name, _)| &**name);
        self.write_row(f, &widths, &mut names)?;
        for row in &self.rows {
            self.write_row(f, &widths, &mut row.iter().map(|cell| &**cell))?;
        }
        Ok(())
    }
}

/// A cell of what may be unknown.
pub(crate) fn cell<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

/// `71.43%`
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// `5.3rps`
pub(crate) fn rps(rate: f64) -> String {
    format!("{rate:.1}rps")
}

/// `12ms`
pub(crate) fn ms(latency: u64) -> String {
    format!("{latency}ms")
}

/// `2.0B/s`
pub(crate) fn bytes_per_second(rate: f64) -> String {
    format!("{rate:.1}B/s")
}

/// Returns a hint to append to a message if `name` is close to one of `candidates`.
pub(crate) fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a String>,
) -> String {
    let candidates: Vec<_> = candidates.into_iter().map(String::as_str).collect();
    mesh_manifest::yaml::did_you_mean(name, &candidates)
        .map(|name| format!("; did you mean `{name}`?"))
        .unwrap_or_default()
}

/// Compares with a file under `tests/golden`, or rewrites it when `BLESS` is set.
#[cfg(test)]
pub(crate) fn golden(name: &str, actual: &str) {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(expected, actual, "{path}; run with BLESS=1 to accept");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_even_on_the_left_and_numbers_on_the_right() {
        let mut table = Table::new([("NAME", Align::Left), ("RPS", Align::Right)]);
        table.row(["a-long-name".to_owned(), rps(0.25)]);
        table.row(["b".to_owned(), NONE.to_owned()]);
        assert_eq!(
            table.to_string(),
            "NAME             RPS\na-long-name   0.2rps\nb                  -\n"
        );
    }

    #[test]
    fn only_a_filled_table_has_trailing_blanks() {
        let table = |filled: bool| {
            let mut table = Table::new([("A", Align::Left), ("SECURED", Align::Left)]);
            table.row(["x".to_owned(), "√".to_owned()]);
            if filled { table.filled() } else { table }.to_string()
        };
        assert_eq!(table(false), "A   SECURED\nx   √\n");
        assert_eq!(table(true), "A   SECURED\nx   √      \n");
    }

    #[test]
    fn values_are_written_as_people_know_them() {
        assert_eq!(percent(0.714_285), "71.43%");
        assert_eq!(ms(3), "3ms");
        assert_eq!(bytes_per_second(2.049), "2.0B/s");
        assert_eq!(cell(None::<u64>, ms), "-");
    }
}
