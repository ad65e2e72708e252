use super::{
    diagnostic::{Diagnostics, Place},
    document::{Key, Scalar},
    skip::Skip,
};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    fmt,
};

/// Handles the members of an object.
pub(super) trait Members<'t> {
    /// The object's name in diagnostics.
    const WHAT: &'static str;

    /// Returns true if the member can change the profile, so that a second one is refused.
    fn has_effect(key: &str) -> bool;

    /// Takes the value of `key` from `map`; exactly one value must be taken.
    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error>;
}

/// Reads an object member by member. What is none gives `None` and a warning.
pub(super) struct Object<'r, 't, M> {
    pub(super) members: M,
    /// Place of the object or of its name.
    pub(super) place: Place,
    pub(super) diagnostics: &'r Diagnostics<'t>,
}

impl<'r, 't, M: Default> Object<'r, 't, M> {
    pub(super) fn new(place: Place, diagnostics: &'r Diagnostics<'t>) -> Self {
        Self {
            members: M::default(),
            place,
            diagnostics,
        }
    }
}

impl<'t, M: Members<'t>> Object<'_, 't, M> {
    fn none<E>(self, found: &str) -> Result<Option<M>, E> {
        let message = format!("{} is {found}, not an object, and was left out", M::WHAT);
        self.diagnostics.warn(self.place, message);
        Ok(None)
    }
}

impl<'t, M: Members<'t>> DeserializeSeed<'t> for Object<'_, 't, M> {
    type Value = Option<M>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Option<M>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t, M: Members<'t>> Visitor<'t> for Object<'_, 't, M> {
    type Value = Option<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(mut self, mut map: A) -> Result<Option<M>, A::Error> {
        let mut seen = Seen::default();
        while let Some(key) = map.next_key_seed(KeySeed(self.diagnostics))? {
            if let Err(first) = seen.insert(&key) {
                if M::has_effect(&key.text) {
                    self.diagnostics.refuse_duplicate(&key, first);
                    return Err(A::Error::custom("duplicate key"));
                }
                self.diagnostics.warn_of_duplicate(&key);
            }
            self.members.member(key, &mut map, self.diagnostics)?;
        }
        Ok(Some(self.members))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Option<M>, A::Error> {
        while list.next_element_seed(Skip(self.diagnostics))?.is_some() {}
        self.none("a list")
    }

    fn visit_unit<E>(self) -> Result<Option<M>, E> {
        self.none("null")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Option<M>, E> {
        self.none("a boolean")
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<M>, E> {
        self.none("a number")
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<M>, E> {
        self.none("a number")
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<M>, E> {
        self.none("a number")
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<M>, E> {
        self.none("text")
    }
}

/// The names met in one object, with their places: few as a rule, some thousands in `paths`.
#[derive(Default)]
pub(super) struct Seen<'t> {
    few: Vec<Key<'t>>,
    many: HashMap<Cow<'t, str>, Place>,
}

impl<'t> Seen<'t> {
    const FEW: usize = 24;

    /// Adds a name. The error is the place of the first member of that name.
    pub(super) fn insert(&mut self, key: &Key<'t>) -> Result<(), Place> {
        if self.few.len() < Self::FEW {
            let first = self.few.iter().find(|seen| seen.text == key.text);
            let first = first.map(|seen| seen.place);
            if first.is_none() {
                self.few.push(key.clone());
            }
            return first.map_or(Ok(()), Err);
        }
        if self.many.is_empty() {
            let few = self.few.iter().cloned();
            self.many.extend(few.map(|key| (key.text, key.place)));
        }
        match self.many.entry(key.text.clone()) {
            Entry::Occupied(first) => Err(*first.get()),
            Entry::Vacant(entry) => {
                entry.insert(key.place);
                Ok(())
            }
        }
    }
}

/// Reads the name of a member. A name that needed no unescaping is a part of the text itself,
/// which is how its place is known.
pub(super) struct KeySeed<'r, 't>(pub(super) &'r Diagnostics<'t>);

impl<'t> DeserializeSeed<'t> for KeySeed<'_, 't> {
    type Value = Key<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Key<'t>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for KeySeed<'_, 't> {
    type Value = Key<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Key<'t>, E> {
        Ok(Key {
            text: Cow::Borrowed(text),
            place: self.0.place_of(text),
        })
    }

    fn visit_str<E>(self, text: &str) -> Result<Key<'t>, E> {
        Ok(Key {
            text: Cow::Owned(text.to_owned()),
            place: None,
        })
    }
}

/// Reads a value that should be neither an object nor a list.
pub(super) struct ScalarSeed<'r, 't>(pub(super) &'r Diagnostics<'t>);

impl<'t> DeserializeSeed<'t> for ScalarSeed<'_, 't> {
    type Value = Scalar<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Scalar<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t> Visitor<'t> for ScalarSeed<'_, 't> {
    type Value = Scalar<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Number(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Scalar<'t>, E> {
        // `2.0`, not `2`.
        Ok(Scalar::Number(format!("{value:?}")))
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Scalar<'t>, E> {
        Ok(Scalar::Other)
    }

    fn visit_map<A: MapAccess<'t>>(self, map: A) -> Result<Scalar<'t>, A::Error> {
        Skip(self.0).visit_map(map)?;
        Ok(Scalar::Other)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, list: A) -> Result<Scalar<'t>, A::Error> {
        Skip(self.0).visit_seq(list)?;
        Ok(Scalar::Other)
    }
}

/// Reads the first object of a list.
pub(super) struct FirstOf<'r, 't, M>(pub(super) Object<'r, 't, M>);

impl<'t, M: Members<'t>> DeserializeSeed<'t> for FirstOf<'_, 't, M> {
    type Value = Option<M>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Option<M>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t, M: Members<'t>> Visitor<'t> for FirstOf<'_, 't, M> {
    type Value = Option<M>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Option<M>, A::Error> {
        let diagnostics = self.0.diagnostics;
        let first = list.next_element_seed(self.0)?.flatten();
        while list.next_element_seed(Skip(diagnostics))?.is_some() {}
        Ok(first)
    }

    fn visit_unit<E>(self) -> Result<Option<M>, E> {
        Ok(None)
    }
}
