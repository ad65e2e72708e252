//! Reads plain documents, which nearly all are, on the parser's events, for a visitor that skips
//! most of what it is shown.
//! `serde-saphyr` defines the meaning and the errors of a document, but takes as long to skip a
//! value as to read it. This reader skips at hardly more than the cost of the parser's events. It
//! refuses documents that are [`Unusual`]: with an anchor, an alias, a tag, a merge key, a
//! duplicate key, or an error of any kind. The caller then reads the document with `serde-saphyr`.

mod events;
mod names;
mod scalar;

use self::events::Events;
use super::options;
use granit_parser::{Event, ScalarStyle};
use serde::{
    de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor},
    forward_to_deserialize_any,
};
use serde_saphyr::with_deserializer_from_str_with_options;
use std::{borrow::Cow, fmt};

/// Reads a text of one document with `seed`.
///
/// # Errors
///
/// [`Unusual`] if the text is to be read in the other way.
pub fn read<'t, S: DeserializeSeed<'t>>(text: &'t str, seed: S) -> Result<S::Value, Unusual> {
    let mut events = Events::new(text);
    events.expect(|event| *event == Event::StreamStart)?;
    events.expect(|event| matches!(event, Event::DocumentStart(..)))?;
    let value = seed.deserialize(Node::next(&mut events)?)?;
    events.expect(|event| *event == Event::DocumentEnd)?;
    events.expect(|event| *event == Event::StreamEnd)?;
    Ok(value)
}

/// The text is no plain document.
#[derive(Debug)]
pub struct Unusual;

impl fmt::Display for Unusual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a plain document")
    }
}

impl std::error::Error for Unusual {}

impl de::Error for Unusual {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

/// A value, of which the first event was taken.
struct Node<'e, 't> {
    first: Event<'t>,
    events: &'e mut Events<'t>,
}

impl<'e, 't> Node<'e, 't> {
    fn next(events: &'e mut Events<'t>) -> Result<Self, Unusual> {
        let first = events.next()?;
        Ok(Self { first, events })
    }
}

impl<'t> Deserializer<'t> for Node<'_, 't> {
    type Error = Unusual;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.first {
            Event::Scalar(text, style, ..) => scalar(text, style, visitor),
            Event::MappingStart(..) => {
                let begin = self.events.begin_map();
                let mut map = Map {
                    events: self.events,
                    is_at_end: false,
                };
                let value = visitor.visit_map(&mut map)?;
                if !map.is_at_end {
                    return Err(Unusual);
                }
                self.events.end_map(begin)?;
                Ok(value)
            }
            Event::SequenceStart(..) => {
                let mut list = List {
                    events: self.events,
                    is_at_end: false,
                };
                let value = visitor.visit_seq(&mut list)?;
                list.is_at_end.then_some(value).ok_or(Unusual)
            }
            _ => Err(Unusual),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Unusual> {
        self.events.skip(self.first)?;
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}

/// Numbers and booleans are recognized by `serde-saphyr`.
fn scalar<'t, V: Visitor<'t>>(
    text: Cow<'t, str>,
    style: ScalarStyle,
    visitor: V,
) -> Result<V::Value, Unusual> {
    if scalar::is_unusual(&text, style) {
        return Err(Unusual);
    }
    if scalar::is_null(&text, style) {
        return visitor.visit_unit();
    }
    match text {
        Cow::Borrowed(word) if style == ScalarStyle::Plain && scalar::is_word(word) => {
            with_deserializer_from_str_with_options(word, options(), |word| {
                word.deserialize_any(visitor)
            })
            .map_err(|_| Unusual)
        }
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

struct Map<'e, 't> {
    events: &'e mut Events<'t>,
    is_at_end: bool,
}

impl<'t> MapAccess<'t> for &mut Map<'_, 't> {
    type Error = Unusual;

    fn next_key_seed<K: DeserializeSeed<'t>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Unusual> {
        match self.events.next()? {
            Event::Scalar(text, style, ..) => {
                self.events.name(&text, style)?;
                seed.deserialize(Name { text, style }).map(Some)
            }
            Event::MappingEnd => {
                self.is_at_end = true;
                Ok(None)
            }
            _ => Err(Unusual),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'t>>(&mut self, seed: V) -> Result<V::Value, Unusual> {
        seed.deserialize(Node::next(self.events)?)
    }
}

struct List<'e, 't> {
    events: &'e mut Events<'t>,
    is_at_end: bool,
}

impl<'t> SeqAccess<'t> for &mut List<'_, 't> {
    type Error = Unusual;

    fn next_element_seed<T: DeserializeSeed<'t>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Unusual> {
        let node = Node::next(self.events)?;
        if node.first == Event::SequenceEnd {
            self.is_at_end = true;
            return Ok(None);
        }
        seed.deserialize(node).map(Some)
    }
}

/// The name of a member, which is text unless it is ignored.
struct Name<'t> {
    text: Cow<'t, str>,
    style: ScalarStyle,
}

impl<'t> Deserializer<'t> for Name<'t> {
    type Error = Unusual;

    fn deserialize_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Unusual> {
        match self.text {
            text if scalar::is_null(&text, self.style) => Err(Unusual),
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'t>>(self, visitor: V) -> Result<V::Value, Unusual> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        <W: Visitor<'t>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
    }
}
