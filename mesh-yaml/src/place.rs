use super::options;
use serde::{
    Deserialize,
    de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::{Spanned, with_deserializer_from_str_with_options};
use std::fmt;

/// One step from a value into a value that it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Into the member of this name.
    Member(&'a str),
    /// Into the item of this number, from zero.
    Item(usize),
}

/// Line and column of the value at `path` in a text of one document, or of the nearest value
/// around it. What was read as data has lost its places; this finds one again.
pub fn locate(text: &str, path: &[Step<'_>]) -> Option<(u64, u64)> {
    (0..=path.len())
        .rev()
        .find_map(|length| find(text, &path[..length]))
}

fn find(text: &str, path: &[Step<'_>]) -> Option<(u64, u64)> {
    // The value itself, or an error once the value is found and the rest is of no interest.
    with_deserializer_from_str_with_options(text, options(), |deserializer| {
        Find(path).deserialize(deserializer)
    })
    .ok()
    .flatten()
}

struct Find<'a>(&'a [Step<'a>]);

impl<'de> DeserializeSeed<'de> for Find<'_> {
    type Value = Option<(u64, u64)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.0.is_empty() {
            let found = Spanned::<IgnoredAny>::deserialize(deserializer)?.referenced;
            return Ok(Some((found.line(), found.column())));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Find<'_> {
    type Value = Option<(u64, u64)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            match self.0 {
                [Step::Member(member), rest @ ..] if key == *member => {
                    found = map.next_value_seed(Find(rest))?;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        for index in 0.. {
            match self.0 {
                [Step::Item(item), rest @ ..] if index == *item => {
                    match list.next_element_seed(Find(rest))? {
                        Some(place) => found = place,
                        None => break,
                    }
                }
                _ if list.next_element::<IgnoredAny>()?.is_none() => break,
                _ => {}
            }
        }
        Ok(found)
    }
}
