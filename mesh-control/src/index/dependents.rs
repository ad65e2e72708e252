//! Open questions, and the objects that each depends on.

use super::{
    question::{Question, Subject},
    topic::Topic,
};
use std::{
    collections::{BTreeSet, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

/// Numbers open questions. A number is never used again.
pub(super) type Id = u64;

/// The open questions. Every operation costs what one question depends on, whatever the number of
/// questions.
#[derive(Debug, Default)]
pub(super) struct OpenQuestions {
    ids: HashMap<Question, Id>,
    open: HashMap<Id, Open>,
    dependents: HashMap<Subject, BTreeSet<Id>>,
    next: Id,
}

#[derive(Debug)]
struct Open {
    topic: Arc<Topic>,
    subscriptions: usize,
    subjects: Vec<Subject>,
}

impl OpenQuestions {
    /// Counts one more subscription to a question.
    pub(super) fn subscribe(
        &mut self,
        question: &Question,
        subjects: Vec<Subject>,
    ) -> (Id, Arc<Topic>) {
        let id = match self.ids.entry(question.clone()) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                self.next += 1;
                *new.insert(self.next)
            }
        };
        let open = self.open.entry(id).or_insert_with(|| Open {
            topic: Arc::new(Topic::new(question.clone())),
            subscriptions: 0,
            subjects: Vec::new(),
        });
        open.subscriptions += 1;
        let topic = open.topic.clone();
        self.depend(id, subjects);
        (id, topic)
    }

    /// Counts one subscription less, and closes a question that has none.
    pub(super) fn unsubscribe(&mut self, id: Id) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        open.subscriptions -= 1;
        if open.subscriptions == 0 {
            self.depend(id, Vec::new());
            if let Some(open) = self.open.remove(&id) {
                self.ids.remove(&open.topic.question);
            }
        }
    }

    pub(super) fn topic(&self, id: Id) -> Option<&Arc<Topic>> {
        self.open.get(&id).map(|open| &open.topic)
    }

    /// Notes all that a question depends on now.
    pub(super) fn depend(&mut self, id: Id, subjects: Vec<Subject>) {
        let Some(open) = self.open.get_mut(&id) else {
            return;
        };
        if open.subjects == subjects {
            return;
        }
        for subject in std::mem::replace(&mut open.subjects, subjects.clone()) {
            if let Entry::Occupied(mut dependents) = self.dependents.entry(subject) {
                dependents.get_mut().remove(&id);
                if dependents.get().is_empty() {
                    dependents.remove();
                }
            }
        }
        for subject in subjects {
            self.dependents.entry(subject).or_default().insert(id);
        }
    }

    /// The questions that depend on any of `subjects`.
    pub(super) fn dependents(&self, subjects: &HashSet<Subject>) -> BTreeSet<Id> {
        let sets = subjects.iter().filter_map(|it| self.dependents.get(it));
        sets.flatten().copied().collect()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    #[cfg(test)]
    pub(super) fn subjects(&self) -> usize {
        self.dependents.len()
    }
}
