use crate::{Event, EventId, Events, Filter, TapLayer, redact::Redact};
use http::HeaderName;
use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::sync::mpsc::{self, error::TrySendError};

/// A place to watch requests from; clones are the same place.
///
/// See the [crate documentation](crate) for an example.
#[derive(Clone, Default)]
pub struct Tap {
    registry: Arc<Registry>,
}

impl Tap {
    /// Largest number of subscriptions; each costs a comparison per request.
    pub const MAX_SUBSCRIPTIONS: usize = 32;

    /// Largest number of events that wait for one reader, some megabytes.
    pub const MAX_CAPACITY: usize = 16_384;

    /// Makes a tap without subscriptions. It hides the values of `authorization`,
    /// `proxy-authorization`, `cookie` and `set-cookie`, and of query parameters whose names
    /// contain `token`, `key`, `secret` or the like.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a tap that hides the values of `headers` instead of the default ones. Values marked as
    /// [sensitive](http::HeaderValue::set_sensitive) are always hidden.
    pub fn redacting(headers: impl IntoIterator<Item = HeaderName>) -> Self {
        let registry = Registry {
            redact: Redact::new(headers),
            ..Registry::default()
        };
        Self {
            registry: Arc::new(registry),
        }
    }

    /// Shows the requests that pass, each with its response.
    pub fn layer(&self) -> TapLayer {
        TapLayer::new(self.registry.clone(), false)
    }

    /// Shows what a [`layer`](Self::layer) below it did not: exchanges that came to an end, with
    /// a reason, before an attempt could.
    ///
    /// It goes above the retries.
    pub fn exchange(&self) -> TapLayer {
        TapLayer::new(self.registry.clone(), true)
    }

    /// Watches what `filter` selects. At most `capacity` events (1 to
    /// [`MAX_CAPACITY`](Self::MAX_CAPACITY)) wait to be read; further ones are dropped.
    ///
    /// When there are too many subscriptions already, the events end at once; see
    /// [`try_subscribe`](Self::try_subscribe).
    pub fn subscribe(&self, filter: Filter, capacity: usize) -> Events {
        self.open(filter, capacity).0
    }

    /// Subscribes like [`subscribe`](Self::subscribe), unless there are too many subscriptions.
    ///
    /// # Errors
    ///
    /// [`TooManyTaps`] when there are [`MAX_SUBSCRIPTIONS`](Self::MAX_SUBSCRIPTIONS).
    pub fn try_subscribe(&self, filter: Filter, capacity: usize) -> Result<Events, TooManyTaps> {
        let (events, opened) = self.open(filter, capacity);
        opened.map(|()| events)
    }

    fn open(&self, filter: Filter, capacity: usize) -> (Events, Result<(), TooManyTaps>) {
        let (sender, receiver) = mpsc::channel(capacity.clamp(1, Self::MAX_CAPACITY));
        let base = self.registry.next_base.fetch_add(1, Relaxed);
        let dropped = Arc::<AtomicU64>::default();
        let opened = self.registry.subscribe(Subscription {
            base,
            remaining: AtomicU64::new(filter.remaining()),
            filter,
            next_stream: AtomicU64::new(0),
            sender,
            dropped: dropped.clone(),
        });
        let events = Events::new(receiver, self.registry.clone(), base, dropped);
        (events, opened)
    }

    /// Returns the number of subscriptions.
    pub fn subscriptions(&self) -> usize {
        self.registry.live.load(Relaxed)
    }

    /// Returns the number of dropped events of all subscriptions so far.
    pub fn dropped(&self) -> u64 {
        self.registry.dropped.load(Relaxed)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("subscriptions", &self.subscriptions())
            .field("dropped", &self.dropped())
            .finish_non_exhaustive()
    }
}

/// There are as many subscriptions as there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTaps(());

impl fmt::Display for TooManyTaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there are {} taps already, which is the limit",
            Tap::MAX_SUBSCRIPTIONS
        )
    }
}

impl std::error::Error for TooManyTaps {}

/// The list of subscriptions.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    /// The number of subscriptions: all that a request looks at while there are none.
    live: AtomicUsize,
    subscriptions: RwLock<Arc<[Arc<Subscription>]>>,
    next_base: AtomicU32,
    dropped: AtomicU64,
    redact: Redact,
}

impl Registry {
    pub(crate) fn is_watched(&self) -> bool {
        // A request that begins during a subscription may be shown or not.
        self.live.load(Relaxed) != 0
    }

    pub(crate) fn subscriptions(&self) -> Arc<[Arc<Subscription>]> {
        let subscriptions = self.subscriptions.read();
        subscriptions
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn redact(&self) -> &Redact {
        &self.redact
    }

    fn subscribe(&self, new: Subscription) -> Result<(), TooManyTaps> {
        let mut all = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if all.len() == Tap::MAX_SUBSCRIPTIONS {
            return Err(TooManyTaps(()));
        }
        *all = all.iter().cloned().chain([Arc::new(new)]).collect();
        self.live.store(all.len(), Relaxed);
        Ok(())
    }

    pub(crate) fn unsubscribe(&self, base: u32) {
        let mut all = self
            .subscriptions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let others = all.iter().filter(|known| known.base != base);
        let others = others.cloned().collect();
        let before = std::mem::replace(&mut *all, others);
        self.live.store(all.len(), Relaxed);
        drop(all);
        // The last sender wakes the reader, which is no business to be done under a lock.
        drop(before);
    }

    /// Sends without waiting; whether there was room.
    pub(crate) fn send(&self, to: &Subscription, event: Event) -> bool {
        match to.sender.try_send(event) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                to.dropped.fetch_add(1, Relaxed);
                self.dropped.fetch_add(1, Relaxed);
                false
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

/// One watcher. Exchanges under way keep it, and with it the channel, until they are over.
#[derive(Debug)]
pub(crate) struct Subscription {
    base: u32,
    filter: Filter,
    remaining: AtomicU64,
    next_stream: AtomicU64,
    sender: mpsc::Sender<Event>,
    dropped: Arc<AtomicU64>,
}

impl Subscription {
    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    /// Takes one of the exchanges that the filter's limit allows; the last one ends the
    /// subscription to further ones.
    pub(crate) fn take(&self, registry: &Registry) -> Option<EventId> {
        let one_less = |n: u64| n.checked_sub(1);
        let before = self
            .remaining
            .fetch_update(Relaxed, Relaxed, one_less)
            .ok()?;
        if before == 1 {
            registry.unsubscribe(self.base);
        }
        Some(EventId {
            base: self.base,
            stream: self.next_stream.fetch_add(1, Relaxed),
        })
    }
}
