use super::{
    diagnostic::{Diagnostics, Place, Refused},
    document::{Document, PathItem},
    object::Object,
    parse::parse,
};
use percent_encoding::percent_decode_str;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::{borrow::Cow, collections::HashMap, fmt};

/// The longest chain of references that is followed.
pub(super) const MAX_CHAIN: usize = 8;

/// Follows the `$ref`s of path items. They may lead anywhere in the document, so it is read once
/// more for all of them together, and again for references that lead to others.
pub(super) fn resolve<'t>(
    text: &'t str,
    document: &mut Document<'t>,
    diagnostics: &Diagnostics<'t>,
) -> Result<(), Refused> {
    for _ in 0..MAX_CHAIN {
        let mut open = Vec::new();
        for (_, item) in document.paths.iter_mut().flat_map(|paths| &mut paths.0) {
            if let Some((place, reference)) = item.reference.take() {
                match pointer(&reference) {
                    Some(pointer) => open.push((place, pointer, item)),
                    None => diagnostics.warn(
                        place,
                        format!(
                            "`$ref` {reference:?} leads out of the document and was not followed"
                        ),
                    ),
                }
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        fill(text, open, diagnostics)?;
    }
    for (_, item) in document.paths.iter_mut().flat_map(|paths| &mut paths.0) {
        if let Some((place, reference)) = item.reference.take() {
            let message = format!("`$ref` {reference:?} leads on and on and was not followed");
            diagnostics.warn(place, message);
        }
    }
    Ok(())
}

/// The way that a local reference describes (RFC 6901).
pub(super) fn pointer(reference: &str) -> Option<Vec<String>> {
    let path = reference.strip_prefix("#/")?;
    // A pointer in a fragment is percent-encoded.
    let decode = |step| percent_decode_str(step).decode_utf8_lossy();
    let step = |step| decode(step).replace("~1", "/").replace("~0", "~");
    Some(path.split('/').map(step).collect())
}

type Open<'r, 't> = (Place, Vec<String>, &'r mut PathItem<'t>);

fn fill<'t>(
    text: &'t str,
    open: Vec<Open<'_, 't>>,
    diagnostics: &Diagnostics<'t>,
) -> Result<(), Refused> {
    let mut wanted = Wanted::default();
    for (target, (_, pointer, _)) in open.iter().enumerate() {
        let end = pointer.iter().fold(&mut wanted, |wanted, step| {
            wanted.members.entry(step.clone()).or_default()
        });
        end.targets.push(target);
    }
    let found = parse(text, diagnostics, || Follow {
        wanted: &wanted,
        diagnostics,
    })?;
    let mut found: HashMap<usize, PathItem<'t>> = found.into_iter().collect();

    for (target, (place, pointer, item)) in open.into_iter().enumerate() {
        match found.remove(&target) {
            Some(there) => merge(item, there),
            None => diagnostics.warn(
                place,
                format!("`$ref` leads to nothing usable: #/{}", pointer.join("/")),
            ),
        }
    }
    Ok(())
}

/// Fills `item` from the path item `there`. Members beside the reference win.
fn merge<'t>(item: &mut PathItem<'t>, there: PathItem<'t>) {
    item.reference = there.reference;
    item.server = item.server.take().or(there.server);
    item.policy.retryable = item.policy.retryable.or(there.policy.retryable);
    item.policy.timeout = item.policy.timeout.take().or(there.policy.timeout);
    for (here, there) in item.operations.iter_mut().zip(there.operations) {
        *here = here.take().or(there);
    }
    for (method, operation) in there.additional.0 {
        let mut methods = item.additional.0.iter().map(|(method, _)| method);
        if methods.all(|here| *here != method) {
            item.additional.0.push((method, operation));
        }
    }
}

/// The pointers still to be followed from some value.
#[derive(Debug, Default)]
struct Wanted {
    members: HashMap<String, Self>,
    /// The references that lead to this value itself.
    targets: Vec<usize>,
}

struct Follow<'r, 't> {
    wanted: &'r Wanted,
    diagnostics: &'r Diagnostics<'t>,
}

impl<'t> DeserializeSeed<'t> for Follow<'_, 't> {
    type Value = Vec<(usize, PathItem<'t>)>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.wanted.targets.is_empty() {
            return deserializer.deserialize_any(self);
        }
        let item = Object::<PathItem<'_>>::new(None, self.diagnostics);
        let item = item.deserialize(deserializer)?;
        let targets = self.wanted.targets.iter();
        Ok(item.map_or_else(Vec::new, |item| {
            targets.map(|target| (*target, item.clone())).collect()
        }))
    }
}

impl<'t> Visitor<'t> for Follow<'_, 't> {
    type Value = Vec<(usize, PathItem<'t>)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match self.wanted.members.get(&*key) {
                Some(wanted) => found.extend(map.next_value_seed(Follow { wanted, ..self })?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Vec::new())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}
