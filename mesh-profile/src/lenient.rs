//! Deserializers that accept what readers of the CRD accept in practice, beyond a derived
//! `Deserialize`.

use serde::{
    Deserialize, Deserializer,
    de::{self, value::MapAccessDeserializer},
};
use std::{fmt, marker::PhantomData};

/// `null` is an absent member: old versions of `linkerd profile` print `routes: null`.
pub(crate) fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An object, or a list of one object: the published schema declares `not` as the latter, every
/// profile in the field writes the former.
pub(crate) fn one<'de, D, T>(deserializer: D) -> Result<Option<Box<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_any(One(PhantomData))
}

struct One<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for One<T> {
    type Value = Option<Box<T>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one condition")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| Some(Box::new(one)))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let Some(one) = list.next_element()? else {
            return Err(de::Error::invalid_length(0, &self));
        };
        match list.next_element::<de::IgnoredAny>()? {
            None => Ok(Some(Box::new(one))),
            Some(_) => Err(de::Error::invalid_length(2, &self)),
        }
    }
}

/// Port numbers and ranges, written as numbers or as text.
pub(crate) fn ports<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let ports: Option<Vec<Port>> = Option::deserialize(deserializer)?;
    Ok(ports.unwrap_or_default().into_iter().map(|p| p.0).collect())
}

struct Port(String);

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PortVisitor)
    }
}

struct PortVisitor;

impl de::Visitor<'_> for PortVisitor {
    type Value = Port;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a port")
    }

    fn visit_u64<E: de::Error>(self, port: u64) -> Result<Port, E> {
        Ok(Port(port.to_string()))
    }

    fn visit_str<E: de::Error>(self, port: &str) -> Result<Port, E> {
        Ok(Port(port.into()))
    }
}
