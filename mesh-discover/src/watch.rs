use std::{fmt, sync::Arc};
use tokio::sync::watch;

/// The latest value of something that changes, and a wait for the next.
///
/// Cheap to clone and usable from any thread; every clone sees every change, though a slow
/// reader sees only the latest of several. The source behind it lives as long as one clone does.
pub struct Watch<T> {
    inner: watch::Receiver<Option<Arc<T>>>,
}

impl<T> Watch<T> {
    /// A watch of a value that never changes: for tests, and for what is known beforehand.
    pub fn fixed(value: T) -> Self {
        let (_, inner) = watch::channel(Some(Arc::new(value)));
        Self { inner }
    }

    /// A watch without a value yet, and the way to give it one.
    pub fn channel() -> (Publisher<T>, Self) {
        let (inner, receiver) = watch::channel(None);
        (Publisher { inner }, Self { inner: receiver })
    }

    /// The latest value; `None` until the first is known.
    pub fn current(&self) -> Option<Arc<T>> {
        self.inner.borrow().clone()
    }

    /// Waits until there is a value, and returns the latest.
    ///
    /// `None` if the source ended without ever having one. Cancel safe. The value counts as
    /// seen: [`changed`](Self::changed) waits for a newer one.
    pub async fn ready(&mut self) -> Option<Arc<T>> {
        self.inner.wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Waits for a value that this clone has not seen, and returns it.
    ///
    /// `None` once the source has ended; the last value stays [`current`](Self::current).
    /// Cancel safe.
    ///
    /// ```
    /// # async fn follow(mut watch: mesh_discover::Watch<u32>) {
    /// while let Some(value) = watch.changed().await {
    ///     println!("now {value}");
    /// }
    /// # }
    /// ```
    pub async fn changed(&mut self) -> Option<Arc<T>> {
        loop {
            self.inner.changed().await.ok()?;
            let value = self.inner.borrow_and_update().clone();
            if value.is_some() {
                return value;
            }
        }
    }
}

impl<T> Clone for Watch<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Watch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Watch").field(&self.current()).finish()
    }
}

/// The writing end of a [`Watch`].
pub struct Publisher<T> {
    inner: watch::Sender<Option<Arc<T>>>,
}

impl<T: PartialEq> Publisher<T> {
    /// Announces `value`, unless it equals the last one. Says whether it was news.
    pub fn publish(&self, value: T) -> bool {
        self.inner.send_if_modified(|current| {
            if current.as_deref() == Some(&value) {
                return false;
            }
            *current = Some(Arc::new(value));
            true
        })
    }
}

impl<T> Publisher<T> {
    /// The latest value.
    pub fn current(&self) -> Option<Arc<T>> {
        self.inner.borrow().clone()
    }

    /// Adds a reader, for which the current value counts as unseen.
    pub fn watch(&self) -> Watch<T> {
        let mut inner = self.inner.subscribe();
        inner.mark_changed();
        Watch { inner }
    }

    /// Returns true if there is no reader.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Waits until there is no reader. Cancel safe.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }
}

impl<T: fmt::Debug> fmt::Debug for Publisher<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Publisher").field(&self.current()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_value_is_awaited_and_an_equal_one_is_no_news() {
        let (publisher, mut watch) = Watch::channel();
        assert_eq!(watch.current(), None);

        assert!(publisher.publish(1));
        assert_eq!(watch.ready().await.as_deref(), Some(&1));
        assert!(!publisher.publish(1));
        assert!(publisher.publish(2));
        assert_eq!(watch.changed().await.as_deref(), Some(&2));
    }

    #[tokio::test]
    async fn a_clone_made_after_the_first_value_has_it_at_once() {
        let (publisher, watch) = Watch::channel();
        publisher.publish("a");
        assert_eq!(watch.clone().ready().await.as_deref(), Some(&"a"));
        assert_eq!(publisher.watch().changed().await.as_deref(), Some(&"a"));
    }

    #[tokio::test]
    async fn the_last_value_stays_when_the_source_ends() {
        let (publisher, mut watch) = Watch::channel();
        publisher.publish(7);
        drop(publisher);
        assert_eq!(watch.ready().await.as_deref(), Some(&7));
        assert_eq!(watch.changed().await, None);
        assert_eq!(watch.current().as_deref(), Some(&7));

        let (publisher, mut watch) = Watch::<()>::channel();
        drop(publisher);
        assert_eq!(watch.ready().await, None);
    }

    #[tokio::test]
    async fn the_publisher_learns_that_nobody_reads() {
        let (publisher, watch) = Watch::<()>::channel();
        let other = watch.clone();
        drop(watch);
        assert!(!publisher.is_closed());
        drop(other);
        publisher.closed().await;
    }
}
