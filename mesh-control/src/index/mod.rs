//! Everything the control plane knows, and the answers that clients follow.
//!
//! Sources feed the index through a [`Sink`]. Sidecars ask it what an
//! authority is, and follow the answer with a [`Subscription`]. For each object the index keeps
//! the questions that depend on it, so a change costs what it touches: the questions that nothing
//! changed for are neither looked at nor locked. Answers are computed outside the lock.

mod answer;
mod contents;
mod dependents;
mod endpoints;
mod membership;
mod objects;
mod profiles;
mod question;
mod registered;
mod snapshot;
mod splits;
mod topic;

#[cfg(test)]
mod tests;

pub(crate) use self::objects::SourceId;
pub use self::{
    answer::{Apex, Endpoints, Split},
    registered::{Lease, MAX_REGISTERED, Refusal, RegisteredService, Registration},
    snapshot::Snapshot,
    topic::Subscription,
};

use self::{
    contents::{Contents, Touched},
    dependents::Id,
    question::{About, Question},
    topic::Latest,
};
use crate::{
    model::{Object, Reference, Rejection, Resource, ServiceName, Status},
    source::{Event, Sink},
};
use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// Questions whose inputs are gathered under one lock.
const CHUNK: usize = 64;

/// Objects of all sources, and the answers that follow from them. Clones share.
///
/// No method blocks for longer than it takes to change a few maps, and only the
/// `async` ones need a runtime.
#[derive(Clone)]
pub struct Index(Arc<Inner>);

struct Inner {
    domain: Arc<str>,
    contents: Mutex<Contents>,
    changes: watch::Sender<u64>,
    /// The number of sources that are loading.
    loading: watch::Sender<usize>,
    computed: AtomicU64,
}

impl Index {
    /// Creates an empty index of a cluster whose names end in `domain`.
    pub fn new(domain: &str) -> Self {
        let domain: Arc<str> = domain.into();
        Self(Arc::new(Inner {
            contents: Mutex::new(Contents::new(domain.clone())),
            domain,
            changes: watch::Sender::new(0),
            loading: watch::Sender::new(0),
            computed: AtomicU64::new(0),
        }))
    }

    /// Attaches a source. Where two sources have the same object, the one that was attached first
    /// decides.
    pub fn sink(&self) -> Sink {
        let mut contents = self.contents();
        let source = SourceId(contents.sources);
        contents.sources += 1;
        contents.loading.insert(source);
        self.0.loading.send_replace(contents.loading.len());
        Sink::new(self.clone(), source)
    }

    /// Waits until every attached source has sent all there is.
    pub async fn ready(&self) {
        let mut loading = self.0.loading.subscribe();
        // The sender lives as long as the index.
        let _ = loading.wait_for(|loading| *loading == 0).await;
    }

    /// The domain that full names end in.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// The namespace of clients that do not state theirs.
    pub fn default_namespace(&self) -> Arc<str> {
        self.contents().default_namespace().into()
    }

    /// Answers what `authority` is to a client in `namespace`, which is empty if the client does
    /// not state it.
    ///
    /// Names and ports that no service has are outside the mesh: no service, no routes.
    pub fn apex(&self, authority: &str, namespace: &str) -> Apex {
        let question = question(About::Apex, authority, namespace);
        let (_, inputs) = self.contents().resolve(&question);
        inputs.apex()
    }

    /// Answers where `authority` is, to a client in `namespace`. Rules have no say here: leaves
    /// are asked for by their own names.
    pub fn endpoints(&self, authority: &str, namespace: &str) -> Endpoints {
        let question = question(About::Endpoints, authority, namespace);
        let (_, inputs) = self.contents().resolve(&question);
        inputs.endpoints()
    }

    /// Follows [`apex`](Self::apex).
    pub fn subscribe_apex(&self, authority: &str, namespace: &str) -> Subscription<Apex> {
        let (topic, lease) = self.subscribe(&question(About::Apex, authority, namespace));
        match &topic.latest {
            Latest::Apex(sender) => Subscription::new(sender, lease),
            Latest::Endpoints(_) => unreachable!("a question is about one thing"),
        }
    }

    /// Follows [`endpoints`](Self::endpoints).
    pub fn subscribe_endpoints(&self, authority: &str, namespace: &str) -> Subscription<Endpoints> {
        let (topic, lease) = self.subscribe(&question(About::Endpoints, authority, namespace));
        match &topic.latest {
            Latest::Endpoints(sender) => Subscription::new(sender, lease),
            Latest::Apex(_) => unreachable!("a question is about one thing"),
        }
    }

    /// Returns true if there is a service of this name.
    pub fn has_service(&self, name: &ServiceName) -> bool {
        self.contents().membership.service(name).is_some()
    }

    /// The resource that `reference` names.
    pub fn resource(&self, reference: &Reference) -> Option<Resource> {
        match self.contents().objects.get(reference)? {
            Object::Resource(resource) => Some(resource.clone()),
            _ => None,
        }
    }

    /// The conditions of a resource, as of now.
    pub fn status(&self, reference: &Reference) -> Status {
        self.contents().status(reference)
    }

    /// The resources whose conditions may have changed since the last call, with their conditions.
    pub fn take_changed_statuses(&self) -> Vec<(Reference, Status)> {
        let mut contents = self.contents();
        let changed = contents.splits.take_changed();
        let statuses = changed.into_iter().map(|reference| {
            let status = contents.status(&reference);
            (reference, status)
        });
        statuses.collect()
    }

    /// Everything there is now. Costs as much as there are objects if something has changed since
    /// the last call, and nothing else.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.contents().snapshot()
    }

    /// Documents that were refused and have not been put right, by name.
    pub fn rejections(&self) -> Vec<Rejection> {
        self.contents().rejections.values().cloned().collect()
    }

    /// Follows the changes of objects, whatever they are.
    pub fn changes(&self) -> Changes {
        Changes(self.0.changes.subscribe())
    }

    /// The number of answers computed for subscriptions since the index was created.
    pub fn answers_computed(&self) -> u64 {
        self.0.computed.load(Ordering::Relaxed)
    }

    /// The number of questions with at least one subscription.
    pub fn open_questions(&self) -> usize {
        self.contents().questions.len()
    }

    /// Takes events of a source, which take effect together. Returns true if they changed
    /// anything.
    pub(crate) fn take(&self, source: SourceId, events: impl IntoIterator<Item = Event>) -> bool {
        self.change(|contents, touched| {
            for event in events {
                contents.take(source, event, touched);
            }
        })
    }

    pub(crate) fn loaded(&self, source: SourceId) {
        let mut contents = self.contents();
        contents.loading.remove(&source);
        self.0.loading.send_replace(contents.loading.len());
    }

    pub(crate) fn reject(&self, rejection: Rejection) {
        let mut contents = self.contents();
        contents
            .rejections
            .insert(rejection.source.clone(), rejection);
    }

    pub(crate) fn clear_rejection(&self, source: &str) {
        self.contents().rejections.remove(source);
    }

    /// Changes the contents, then computes the answers that the change touches and publishes them.
    /// Returns true if anything changed.
    fn change(&self, change: impl FnOnce(&mut Contents, &mut Touched)) -> bool {
        let mut touched = Touched::default();
        let questions = {
            let mut contents = self.contents();
            change(&mut contents, &mut touched);
            if !touched.is_changed {
                return false;
            }
            contents.revision += 1;
            contents.snapshot = None;
            contents.questions.dependents(&touched.subjects)
        };
        for profile in &touched.profiles {
            profile.typed();
        }
        self.compute(&questions);
        self.0.changes.send_modify(|number| *number += 1);
        true
    }

    fn compute(&self, questions: &BTreeSet<Id>) {
        let mut questions = questions.iter().copied().peekable();
        let mut gathered = Vec::with_capacity(CHUNK);
        while questions.peek().is_some() {
            let revision = {
                let mut contents = self.contents();
                for id in questions.by_ref().take(CHUNK) {
                    // It may have been closed meanwhile.
                    let Some(topic) = contents.questions.topic(id).cloned() else {
                        continue;
                    };
                    let (subjects, inputs) = contents.resolve(&topic.question);
                    contents.questions.depend(id, subjects);
                    gathered.push((topic, inputs));
                }
                contents.revision
            };
            self.0
                .computed
                .fetch_add(gathered.len() as u64, Ordering::Relaxed);
            for (topic, inputs) in gathered.drain(..) {
                topic.answer(revision, inputs);
            }
        }
    }

    fn subscribe(&self, question: &Question) -> (Arc<topic::Topic>, topic::Lease) {
        let (id, topic, inputs, revision) = {
            let mut contents = self.contents();
            let (subjects, inputs) = contents.resolve(question);
            let (id, topic) = contents.questions.subscribe(question, subjects);
            (id, topic, inputs, contents.revision)
        };
        if !topic.is_answered() {
            self.0.computed.fetch_add(1, Ordering::Relaxed);
            topic.answer(revision, inputs);
        }
        let lease = topic::Lease {
            index: self.clone(),
            id,
        };
        (topic, lease)
    }

    fn unsubscribe(&self, id: Id) {
        self.contents().questions.unsubscribe(id);
    }

    /// Held for the time of a few operations on maps, never across an await.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        // A panic of another holder left plain data behind, changed or not.
        self.0
            .contents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index")
            .field("domain", &self.0.domain)
            .finish_non_exhaustive()
    }
}

/// Follows the changes of an index.
#[derive(Clone, Debug)]
pub struct Changes(watch::Receiver<u64>);

impl Changes {
    /// Waits for a change since the last call, or since this was created. Returns false when the
    /// index is gone.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

fn question(about: About, authority: &str, namespace: &str) -> Question {
    Question {
        about,
        authority: authority.into(),
        namespace: namespace.into(),
    }
}
