//! The latest answer to one open question, and its subscriptions.

use super::{
    Index,
    answer::{Apex, Endpoints},
    dependents::Id,
    question::{About, Inputs, Question},
};
use std::sync::Arc;
use tokio::sync::watch;

/// An open question and its latest answer.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) question: Question,
    pub(super) latest: Latest,
}

#[derive(Debug)]
pub(super) enum Latest {
    Apex(watch::Sender<Stamped<Apex>>),
    Endpoints(watch::Sender<Stamped<Endpoints>>),
}

/// An answer, and the revision of the index that it was computed from; zero for none yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Stamped<T> {
    revision: u64,
    answer: Arc<T>,
}

impl Topic {
    pub(super) fn new(question: Question) -> Self {
        let latest = match question.about {
            About::Apex => Latest::Apex(watch::Sender::default()),
            About::Endpoints => Latest::Endpoints(watch::Sender::default()),
        };
        Self { question, latest }
    }

    pub(super) fn is_answered(&self) -> bool {
        match &self.latest {
            Latest::Apex(sender) => sender.borrow().revision > 0,
            Latest::Endpoints(sender) => sender.borrow().revision > 0,
        }
    }

    /// Computes the answer and publishes it, unless a later one has been published meanwhile.
    pub(super) fn answer(&self, revision: u64, inputs: Inputs) {
        match &self.latest {
            Latest::Apex(sender) => publish(sender, revision, inputs.apex()),
            Latest::Endpoints(sender) => publish(sender, revision, inputs.endpoints()),
        }
    }
}

fn publish<T: PartialEq>(sender: &watch::Sender<Stamped<T>>, revision: u64, answer: T) {
    sender.send_if_modified(|latest| {
        if latest.revision > revision {
            return false;
        }
        let is_first = std::mem::replace(&mut latest.revision, revision) == 0;
        let is_news = is_first || *latest.answer != answer;
        if is_news {
            latest.answer = Arc::new(answer);
        }
        is_news
    });
}

/// Follows the answer to a question. The question is closed when its last subscription is dropped.
#[derive(Debug)]
pub struct Subscription<T> {
    receiver: watch::Receiver<Stamped<T>>,
    _lease: Lease,
}

#[derive(Debug)]
pub(super) struct Lease {
    pub(super) index: Index,
    pub(super) id: Id,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.index.unsubscribe(self.id);
    }
}

impl<T> Subscription<T> {
    pub(super) fn new(sender: &watch::Sender<Stamped<T>>, lease: Lease) -> Self {
        let mut receiver = sender.subscribe();
        receiver.mark_changed();
        Self {
            receiver,
            _lease: lease,
        }
    }

    /// The answer as of now.
    pub fn current(&self) -> Arc<T> {
        self.receiver.borrow().answer.clone()
    }

    /// Returns the present answer at first, then waits for each later one. No two in a row are
    /// equal; answers that are replaced before they are taken are skipped.
    ///
    /// Cancel safe: an answer is either returned or left for the next call.
    pub async fn next(&mut self) -> Arc<T> {
        if self.receiver.changed().await.is_err() {
            // The lease keeps the sender alive.
            std::future::pending::<()>().await;
        }
        self.receiver.borrow_and_update().answer.clone()
    }

    /// Returns the answer that [`next`](Self::next) would return at once.
    pub fn try_next(&mut self) -> Option<Arc<T>> {
        let is_news = self.receiver.has_changed().unwrap_or_default();
        is_news.then(|| self.receiver.borrow_and_update().answer.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_overtaken_is_not_published() {
        let topic = Topic::new(Question {
            about: About::Apex,
            authority: "web:80".into(),
            namespace: "shop".into(),
        });
        let answer = |revision, port| topic.answer(revision, Inputs::Apex { port, found: None });
        let latest = || match &topic.latest {
            Latest::Apex(sender) => sender.borrow().answer.port,
            Latest::Endpoints(_) => panic!("the question is about the apex"),
        };
        assert!(!topic.is_answered());
        answer(5, 50);
        answer(3, 30);
        assert_eq!(latest(), 50);
        answer(6, 60);
        assert_eq!(latest(), 60);
    }
}
