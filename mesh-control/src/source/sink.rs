use crate::{
    index::{Index, SourceId},
    model::{Kind, Object, Reference, Rejection},
};

/// A message of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// There is this object, new or changed.
    Apply(Object),
    /// There is no such object any more.
    Delete(Reference),
    /// These are all the objects of this kind.
    Reset(Kind, Vec<Object>),
}

/// Takes what one source knows into an index. Clones speak for the same source.
#[derive(Clone, Debug)]
pub struct Sink {
    index: Index,
    source: SourceId,
}

impl Sink {
    pub(crate) fn new(index: Index, source: SourceId) -> Self {
        Self { index, source }
    }

    /// Takes a new or changed object. Returns true if that changed what counts.
    ///
    /// When it returns, all who follow a question that depends on the object have the new answer.
    pub fn apply(&self, object: impl Into<Object>) -> bool {
        self.send([Event::Apply(object.into())])
    }

    /// Forgets an object. Returns true if there was one.
    pub fn delete(&self, reference: Reference) -> bool {
        self.send([Event::Delete(reference)])
    }

    /// Replaces all objects of a kind. Objects of other kinds in `objects` are ignored.
    pub fn reset(&self, kind: Kind, objects: impl IntoIterator<Item = Object>) -> bool {
        self.send([Event::Reset(kind, objects.into_iter().collect())])
    }

    /// Takes events that take effect together: nobody sees the state in between. Returns true if
    /// they changed anything.
    pub fn send(&self, events: impl IntoIterator<Item = Event>) -> bool {
        self.index.take(self.source, events)
    }

    /// Reports that all objects of the source have been sent. [`Index::ready`] waits for every source:
    /// answers from half an index would take endpoints away from sidecars.
    pub fn ready(&self) {
        self.index.loaded(self.source);
    }

    /// Notes that a document was refused, in place of an earlier rejection of it.
    pub fn reject(&self, rejection: Rejection) {
        self.index.reject(rejection);
    }

    /// Notes that the document `source` is valid, or gone.
    pub fn clear_rejection(&self, source: &str) {
        self.index.clear_rejection(source);
    }
}
