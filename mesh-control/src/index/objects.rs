//! Every object, as each source has it.

use crate::model::{Kind, Object, Reference};
use std::collections::BTreeMap;

/// Numbers the sources in the order in which they were attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SourceId(pub(crate) u32);

impl SourceId {
    /// Programs that register themselves. Whatever else is known comes first.
    pub(super) const REGISTERED: Self = Self(u32::MAX);
}

/// Objects by reference. If several sources have one, the source that was attached first decides.
#[derive(Debug, Default)]
pub(super) struct Objects {
    claims: BTreeMap<Reference, Vec<(SourceId, Object)>>,
}

/// An object that counts now, and the one that counted before.
#[derive(Debug)]
pub(super) struct Replaced {
    pub(super) old: Option<Object>,
    pub(super) new: Option<Object>,
}

impl Objects {
    pub(super) fn get(&self, reference: &Reference) -> Option<&Object> {
        self.claims
            .get(reference)?
            .first()
            .map(|(_, object)| object)
    }

    /// Every object.
    pub(super) fn all(&self) -> impl Iterator<Item = &Object> {
        let claims = self.claims.values();
        claims.filter_map(|claims| claims.first().map(|(_, object)| object))
    }

    /// Returns true if a source has an object of this reference that is not a registration.
    pub(super) fn is_declared(&self, reference: &Reference) -> bool {
        let claims = self.claims.get(reference);
        claims.is_some_and(|claims| {
            let mut sources = claims.iter().map(|(source, _)| *source);
            sources.any(|source| source != SourceId::REGISTERED)
        })
    }

    /// The objects of a kind that `source` has.
    pub(super) fn of_source(&self, source: SourceId, kind: Kind) -> Vec<Reference> {
        self.range(kind)
            .filter(|(_, claims)| claims.iter().any(|(known, _)| *known == source))
            .map(|(reference, _)| reference.clone())
            .collect()
    }

    /// Takes what `source` has under `reference`; `None` if it has nothing any more. Returns the
    /// replacement if that changes which object counts.
    pub(super) fn set(
        &mut self,
        source: SourceId,
        reference: &Reference,
        object: Option<Object>,
    ) -> Option<Replaced> {
        let old = self.get(reference).cloned();
        let claims = self.claims.entry(reference.clone()).or_default();
        let place = claims.binary_search_by_key(&source, |(known, _)| *known);
        match (place, object) {
            (Ok(place), Some(object)) => claims[place].1 = object,
            (Ok(place), None) => drop(claims.remove(place)),
            (Err(place), Some(object)) => claims.insert(place, (source, object)),
            (Err(_), None) => {}
        }
        let new = claims.first().map(|(_, object)| object.clone());
        if claims.is_empty() {
            self.claims.remove(reference);
        }
        (old != new).then_some(Replaced { old, new })
    }

    fn range(&self, kind: Kind) -> impl Iterator<Item = (&Reference, &Vec<(SourceId, Object)>)> {
        let all = self.claims.range(Reference::new(kind, "", "")..);
        all.take_while(move |(reference, _)| reference.kind == kind)
    }
}
