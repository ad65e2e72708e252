//! `mesh top`.

mod board;
mod render;
mod screen;

use self::{board::Board, screen::Key};
use super::tap::{Filter, event, events};
use crate::{args::Global, client::Lines, output::refuse};
use anyhow::Result;
use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::Duration,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// Interval for drawing the screen.
const REFRESH: Duration = Duration::from_millis(100);

/// Seconds to watch before a table is written to a pipe or a file.
const ONCE: f64 = 5.0;

/// Number of columns that an arrow key scrolls.
const SCROLL: usize = 5;

/// Show the busiest requests, live
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh top deploy/webapp
  mesh top deploy/webapp --routes --once 10")]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Do not tell sources apart.
    #[arg(long)]
    hide_sources: bool,
    /// Group by route instead of by method and path.
    #[arg(long)]
    routes: bool,
    /// Watch for so long, print one table, and end; without a terminal it is 5 s.
    #[arg(long, value_name = "SECONDS")]
    once: Option<f64>,
}

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let request = args.filter.request(global)?;
    let is_screen = args.once.is_none() && io::stdout().is_terminal() && io::stdin().is_terminal();
    let Ok(once) = Duration::try_from_secs_f64(args.once.unwrap_or(ONCE)) else {
        return refuse("--once needs a number of seconds");
    };
    let mut board = Board::new(args.routes, args.hide_sources);
    let mut lines = events(global, &request).await?;
    let is_over = if is_screen {
        watch(&mut board, &mut lines).await?
    } else {
        let is_over = collect(&mut board, &mut lines, once).await?;
        io::stdout().write_all(render::table(&board).as_bytes())?;
        is_over
    };
    if is_over {
        eprintln!("Tap stream terminated");
    }
    Ok(ExitCode::SUCCESS)
}

/// Feeds the board for a while. Says whether the stream ended before that.
async fn collect(board: &mut Board, lines: &mut Lines, time: Duration) -> Result<bool> {
    let end = Instant::now() + time;
    loop {
        tokio::select! {
            line = lines.next() => match line? {
                Some(line) => feed(board, &line)?,
                None => return Ok(true),
            },
            () = sleep_until(end) => return Ok(false),
            _ = tokio::signal::ctrl_c() => return Ok(false),
        }
    }
}

/// Feeds the board and draws it. Says whether the stream ended, rather than the user.
async fn watch(board: &mut Board, lines: &mut Lines) -> Result<bool> {
    let screen = screen::Screen::open()?;
    let mut keys = screen::keys();
    let mut tick = interval(REFRESH);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shift = 0_usize;
    loop {
        tokio::select! {
            line = lines.next() => match line? {
                Some(line) => feed(board, &line)?,
                None => return Ok(true),
            },
            key = keys.recv() => match key {
                Some(Key::Left) => shift = shift.saturating_sub(SCROLL),
                Some(Key::Right) => shift += SCROLL,
                Some(Key::Quit) | None => return Ok(false),
            },
            _ = tick.tick() => {
                let widest = screen.draw(board, shift)?;
                shift = shift.min(widest);
            }
        }
    }
}

fn feed(board: &mut Board, line: &str) -> Result<()> {
    if !line.is_empty() {
        board.feed(&event(line)?);
    }
    Ok(())
}
