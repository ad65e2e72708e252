//! The terminal: keys in, a page out.

use super::{board::Board, render};
use anyhow::{Context, Result};
use crossterm::{
    cursor::{Hide, MoveTo, Show},
    event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    queue,
    style::{Attribute, Print, SetAttribute},
    terminal::{
        Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
        enable_raw_mode, size,
    },
};
use std::{
    io::{self, Write},
    thread,
};
use tokio::sync::mpsc;

const HELP: [&str; 2] = [
    "(press q to quit)",
    "(press a/LeftArrowKey to scroll left, d/RightArrowKey to scroll right)",
];

/// The row of the table's heading.
const HEADING: u16 = 3;

/// Action of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Left,
    Right,
    Quit,
}

impl Key {
    fn of(event: &Event) -> Option<Self> {
        let key = event.as_key_event()?;
        if key.kind == KeyEventKind::Release {
            return None;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => Some(Self::Quit),
            KeyCode::Char('q') => Some(Self::Quit),
            KeyCode::Left | KeyCode::Char('a') => Some(Self::Left),
            KeyCode::Right | KeyCode::Char('d') => Some(Self::Right),
            _ => None,
        }
    }
}

/// The keys pressed from now on. Reading them blocks, so a thread does; it ends with the process.
pub(super) fn keys() -> mpsc::Receiver<Key> {
    let (sender, receiver) = mpsc::channel(16);
    thread::spawn(move || {
        while let Ok(event) = event::read() {
            if let Some(key) = Key::of(&event)
                && sender.blocking_send(key).is_err()
            {
                break;
            }
        }
    });
    receiver
}

/// The whole terminal, given back as it was on drop.
pub(super) struct Screen(());

impl Screen {
    pub(super) fn open() -> Result<Self> {
        enable_raw_mode().context("the terminal cannot be used")?;
        let screen = Self(());
        queue!(io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(screen)
    }

    /// Draws the board, `shift` columns of the table left out. Says how many can be.
    pub(super) fn draw(&self, board: &Board, shift: usize) -> Result<usize> {
        let (width, height) = size()?;
        let mut out = io::stdout().lock();
        queue!(out, MoveTo(0, 0), Clear(ClearType::All))?;
        for (row, line) in (0..).zip(HELP) {
            queue!(out, MoveTo(0, row), Print(cut(line, 0, width)))?;
        }
        let table = render::table(board);
        let widest = table.lines().map(|line| line.chars().count()).max();
        let hidden = widest.unwrap_or(0).saturating_sub(width.into());
        let shift = shift.min(hidden);
        for (row, line) in (HEADING..height).zip(table.lines()) {
            let weight = match row {
                HEADING => Attribute::Bold,
                _ => Attribute::Reset,
            };
            let line = cut(line, shift, width);
            queue!(out, MoveTo(0, row), SetAttribute(weight), Print(line))?;
        }
        queue!(out, SetAttribute(Attribute::Reset))?;
        out.flush()?;
        Ok(hidden)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let mut out = io::stdout();
        // There is nobody left to tell.
        let _ = queue!(out, Show, LeaveAlternateScreen);
        let _ = out.flush();
        let _ = disable_raw_mode();
    }
}

/// The part of a line that fits; what could move the cursor is shown as a question mark.
fn cut(line: &str, shift: usize, width: u16) -> String {
    let safe = line
        .chars()
        .map(|char| if char.is_control() { '?' } else { char });
    safe.skip(shift).take(width.into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyEvent;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| Key::of(&Event::Key(KeyEvent::new(code, modifiers)));
        let none = KeyModifiers::NONE;
        assert_eq!(key(KeyCode::Char('q'), none), Some(Key::Quit));
        assert_eq!(
            key(KeyCode::Char('c'), KeyModifiers::CONTROL),
            Some(Key::Quit)
        );
        assert_eq!(key(KeyCode::Char('c'), none), None);
        assert_eq!(key(KeyCode::Left, none), Some(Key::Left));
        assert_eq!(key(KeyCode::Char('d'), none), Some(Key::Right));
    }

    #[test]
    fn a_line_is_cut_to_what_fits() {
        assert_eq!(cut("abcdef", 2, 3), "cde");
        assert_eq!(cut("ab", 5, 3), "");
        assert_eq!(cut("a\x1b[2J", 0, 80), "a?[2J");
    }
}
