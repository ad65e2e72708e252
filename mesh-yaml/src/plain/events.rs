use super::{Unusual, names::Names, scalar};
use crate::MAX_DEPTH;
use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput};

/// Limits no wider than those of [`options`](crate::options): what exceeds one is read in
/// the other way, which says so.
const MAX_EVENTS: usize = 10_000_000;
const MAX_SCALAR_BYTES: usize = 128 << 20;

/// The events of a document without anchors, aliases and tags.
pub(super) struct Events<'t> {
    parser: Parser<'t, StrInput<'t>>,
    events_left: usize,
    scalar_bytes_left: usize,
    depth: usize,
    names: Names,
    /// The collections around what is being skipped, kept for their memory.
    skipped: Vec<(Next, usize)>,
}

/// The next event in a collection.
#[derive(Clone, Copy)]
enum Next {
    Item,
    Key,
    Value,
}

impl<'t> Events<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        // Else a program that asks the parser for comments would get them here.
        let mut options = Options::default();
        options.set_emit_comments(false);
        Self {
            parser: Parser::new_from_str_with_options(text, options),
            events_left: MAX_EVENTS,
            scalar_bytes_left: MAX_SCALAR_BYTES,
            depth: 0,
            names: Names::default(),
            skipped: Vec::new(),
        }
    }

    pub(super) fn next(&mut self) -> Result<Event<'t>, Unusual> {
        let Some(Ok((event, _))) = self.parser.next() else {
            return Err(Unusual);
        };
        self.events_left = self.events_left.checked_sub(1).ok_or(Unusual)?;
        match &event {
            Event::Scalar(text, _, 0, None) => {
                let left = self.scalar_bytes_left.checked_sub(text.len());
                self.scalar_bytes_left = left.ok_or(Unusual)?;
            }
            Event::MappingStart(_, 0, None) | Event::SequenceStart(_, 0, None) => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err(Unusual);
                }
            }
            Event::MappingEnd | Event::SequenceEnd => {
                self.depth = self.depth.checked_sub(1).ok_or(Unusual)?;
            }
            Event::StreamStart
            | Event::DocumentStart(..)
            | Event::DocumentEnd
            | Event::StreamEnd => {}
            _ => return Err(Unusual),
        }
        Ok(event)
    }

    /// Takes the next event, which must be this one.
    pub(super) fn expect(&mut self, is: impl Fn(&Event<'t>) -> bool) -> Result<(), Unusual> {
        let event = self.next()?;
        is(&event).then_some(()).ok_or(Unusual)
    }

    /// Returns the argument of [`end_map`](Self::end_map) for a map that begins here.
    pub(super) fn begin_map(&self) -> usize {
        self.names.len()
    }

    /// Notes a name in the innermost map.
    pub(super) fn name(&mut self, text: &str, style: ScalarStyle) -> Result<(), Unusual> {
        if text == "<<" || scalar::is_unusual_name(text, style) {
            return Err(Unusual);
        }
        self.names.push(text);
        Ok(())
    }

    /// Fails if two names in the innermost map are the same.
    pub(super) fn end_map(&mut self, begin: usize) -> Result<(), Unusual> {
        self.names
            .all_distinct_since(begin)
            .then_some(())
            .ok_or(Unusual)
    }

    /// Takes what remains of the value that begins with `event`. Nothing is allocated for what is
    /// skipped, and nesting takes no stack.
    pub(super) fn skip(&mut self, mut event: Event<'t>) -> Result<(), Unusual> {
        self.skipped.clear();
        loop {
            let next = match self.skipped.last_mut() {
                Some((next, _)) => {
                    let now = *next;
                    *next = match now {
                        Next::Item => Next::Item,
                        Next::Key => Next::Value,
                        Next::Value => Next::Key,
                    };
                    now
                }
                None => Next::Item,
            };
            match (event, next) {
                (Event::Scalar(text, style, ..), Next::Key) => self.name(&text, style)?,
                (Event::Scalar(text, style, ..), _) => {
                    if scalar::is_unusual(&text, style) {
                        return Err(Unusual);
                    }
                }
                (Event::MappingStart(..), Next::Item | Next::Value) => {
                    self.skipped.push((Next::Key, self.begin_map()));
                }
                (Event::SequenceStart(..), Next::Item | Next::Value) => {
                    self.skipped.push((Next::Item, 0));
                }
                (Event::MappingEnd, _) => {
                    let (_, begin) = self.skipped.pop().ok_or(Unusual)?;
                    self.end_map(begin)?;
                }
                (Event::SequenceEnd, _) => {
                    self.skipped.pop().ok_or(Unusual)?;
                }
                _ => return Err(Unusual),
            }
            if self.skipped.is_empty() {
                return Ok(());
            }
            event = self.next()?;
        }
    }
}
