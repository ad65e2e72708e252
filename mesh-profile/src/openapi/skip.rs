use super::{
    diagnostic::Diagnostics,
    document::Key,
    object::{KeySeed, Seen},
};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Skips a value that the profile does not need.
///
/// Duplicate keys in it are looked for only if the diagnostics ask for them, as that takes several
/// times as long as skipping.
#[derive(Clone, Copy)]
pub(super) struct Skip<'r, 't>(pub(super) &'r Diagnostics<'t>);

impl<'t> DeserializeSeed<'t> for Skip<'_, 't> {
    type Value = ();

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.0.finds_duplicates() {
            return deserializer.deserialize_any(self);
        }
        deserializer.deserialize_ignored_any(IgnoredAny).map(drop)
    }
}

impl<'t> Visitor<'t> for Skip<'_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = Seen::default();
        while let Some(key) = map.next_key_seed(NameSeed(self.0))? {
            if let Some(key) = key
                && seen.insert(&key).is_err()
            {
                self.0.warn_of_duplicate(&key);
            }
            map.next_value_seed(self)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

/// Reads the name of a skipped member; a list or an object as a name is `None`.
struct NameSeed<'r, 't>(&'r Diagnostics<'t>);

impl<'t> NameSeed<'_, 't> {
    fn unplaced(text: &impl ToString) -> Key<'t> {
        Key {
            text: text.to_string().into(),
            place: None,
        }
    }
}

impl<'t> DeserializeSeed<'t> for NameSeed<'_, 't> {
    type Value = Option<Key<'t>>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for NameSeed<'_, 't> {
    type Value = Option<Key<'t>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Self::Value, E> {
        KeySeed(self.0).visit_borrowed_str(text).map(Some)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        KeySeed(self.0).visit_str(text).map(Some)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Some(Self::unplaced(&"null")))
    }

    fn visit_bool<E>(self, name: bool) -> Result<Self::Value, E> {
        Ok(Some(Self::unplaced(&name)))
    }

    fn visit_u64<E>(self, name: u64) -> Result<Self::Value, E> {
        Ok(Some(Self::unplaced(&name)))
    }

    fn visit_i64<E>(self, name: i64) -> Result<Self::Value, E> {
        Ok(Some(Self::unplaced(&name)))
    }

    fn visit_f64<E>(self, name: f64) -> Result<Self::Value, E> {
        Ok(Some(Self::unplaced(&name)))
    }

    fn visit_map<A: MapAccess<'t>>(self, map: A) -> Result<Self::Value, A::Error> {
        Skip(self.0).visit_map(map).map(|()| None)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, list: A) -> Result<Self::Value, A::Error> {
        Skip(self.0).visit_seq(list).map(|()| None)
    }
}
