//! The board as text.

use super::board::{Board, Row};
use crate::output::percent;
use std::time::Duration;

/// A column: its heading, its width while there is nothing in it, and whether that grows and
/// shrinks with what is.
struct Column {
    name: &'static str,
    width: usize,
    is_flexible: bool,
    is_number: bool,
}

const fn text(name: &'static str, width: usize) -> Column {
    Column {
        name,
        width,
        is_flexible: true,
        is_number: false,
    }
}

const fn number(name: &'static str, width: usize) -> Column {
    Column {
        name,
        width,
        is_flexible: false,
        is_number: true,
    }
}

/// The board as a table: the heading, and the rows by rank.
pub(super) fn table(board: &Board) -> String {
    let columns = columns(board);
    let rows: Vec<Vec<String>> = board
        .rows()
        .into_iter()
        .map(|row| cells(board, row))
        .collect();
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| {
            let longest = rows.iter().map(|row| row[index].chars().count()).max();
            match longest {
                Some(longest) if column.is_flexible => longest.max(column.name.len()),
                _ => column.width.max(column.name.len()),
            }
        })
        .collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let cells = cells.zip(&columns).zip(&widths);
        let cells = cells.map(|((cell, column), &width)| match column.is_number {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(&mut columns.iter().map(|column| column.name));
    for row in &rows {
        out += &line(&mut row.iter().map(|cell| &**cell));
    }
    out
}

fn columns(board: &Board) -> Vec<Column> {
    let mut columns = Vec::new();
    if !board.hides_sources {
        columns.push(text("Source", 23));
    }
    columns.push(text("Destination", 23));
    if board.is_by_route {
        columns.push(text("Route", 47));
    } else {
        columns.push(Column {
            is_flexible: false,
            ..text("Method", 10)
        });
        columns.push(text("Path", 37));
    }
    columns.extend(["Count", "Best", "Worst", "Last"].map(|name| number(name, 6)));
    columns.push(number("Success Rate", 12));
    columns
}

fn cells(board: &Board, row: &Row) -> Vec<String> {
    let subject = &row.subject;
    let mut cells = Vec::new();
    if !board.hides_sources {
        cells.push(subject.source.clone());
    }
    cells.push(subject.destination.clone());
    if !board.is_by_route {
        cells.push(subject.method.clone());
    }
    cells.push(subject.path.clone());
    cells.push(row.count.to_string());
    cells.extend([row.best, row.worst, row.last].map(latency));
    cells.push(percent(row.success()));
    cells
}

/// Rounded to whole microseconds, milliseconds or seconds.
fn latency(latency: Duration) -> String {
    let micros = (latency.as_nanos() + 500) / 1_000;
    match micros {
        0..1_000 => format!("{micros}µs"),
        1_000..999_500 => format!("{}ms", (micros + 500) / 1_000),
        _ => format!("{}s", (micros + 500_000) / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::board::tests::exchange, *};
    use crate::output::golden;

    #[test]
    fn every_shape_is_as_expected() {
        let board = |routes, hide| {
            let mut board = Board::new(routes, hide);
            let exchanges = [
                exchange(0, "/books/12", 200, 4_000),
                exchange(1, "/books/12", 200, 11_400),
                exchange(
                    2,
                    "/a-rather-long-path/of-a-request/that-does-not-fit",
                    500,
                    850,
                ),
                exchange(3, "/books/12", 200, 2_500_000),
            ];
            exchanges
                .iter()
                .flatten()
                .for_each(|event| board.feed(event));
            board
        };
        golden("top.txt", &table(&board(false, false)));
        golden("top_routes.txt", &table(&board(true, true)));
        golden("top_empty.txt", &table(&Board::new(false, false)));
    }

    #[test]
    fn latencies_are_rounded_to_what_can_be_read() {
        for (micros, text) in [
            (0, "0µs"),
            (999, "999µs"),
            (1_000, "1ms"),
            (1_499, "1ms"),
            (999_400, "999ms"),
            (999_600, "1s"),
            (61_000_000, "61s"),
        ] {
            assert_eq!(latency(Duration::from_micros(micros)), text);
        }
    }
}
