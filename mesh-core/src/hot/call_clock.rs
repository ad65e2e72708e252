use std::{cell::Cell, marker::PhantomData, time::Instant};

/// One reading of the clock, shared by all layers of a stack for the length of one call or poll.
///
/// Reading a clock costs 20 ns or more, and half of the layers of a stack need the time at which a
/// request or a response came. Each of them holds a `CallClock` while it is called or polled and
/// asks it for the time: with [`arriving`](Self::arriving) before it calls the service below, with
/// [`leaving`](Self::leaving) after that has returned. The first to ask reads the clock, and the
/// others get the same reading. Without a `CallClock` on the thread, each reads for itself.
///
/// A reading never outlives the call or poll in which it was made. The one on the way in is dropped
/// when a layer below returns, the one on the way out when a layer below is called or polled again:
/// so the time that a service takes is always between the two. The time that layers take between
/// them is not seen, and is negligible. But a program may call a stack of its own and compute
/// before it returns: a layer above programs that must be exact reads the clock itself on the way
/// out.
///
/// ```
/// use mesh_core::hot::CallClock;
/// use std::time::Instant;
///
/// # #[allow(clippy::disallowed_methods)]
/// # fn clock() -> Instant { Instant::now() }
/// fn outer() -> (Instant, Instant) {
///     let _clock = CallClock::begin();
///     (CallClock::arriving(clock), inner())
/// }
///
/// fn inner() -> Instant {
///     let _clock = CallClock::begin();
///     CallClock::arriving(clock)
/// }
///
/// let (outer, inner) = outer();
/// assert_eq!(outer, inner);
/// ```
#[derive(Debug)]
#[must_use = "the reading is shared until this is dropped"]
pub struct CallClock {
    is_outermost: bool,
    /// It belongs to one thread.
    _not_send: PhantomData<*const ()>,
}

thread_local! {
    static LASTS: Cell<bool> = const { Cell::new(false) };
    static ARRIVING: Cell<Option<Instant>> = const { Cell::new(None) };
    static LEAVING: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl CallClock {
    /// Begins to share readings on this thread, or joins the layers above that do.
    #[inline]
    pub fn begin() -> Self {
        LEAVING.set(None);
        Self {
            is_outermost: !LASTS.replace(true),
            _not_send: PhantomData,
        }
    }

    /// The time on the way to the services below: the shared reading, or else that of `read`.
    #[inline]
    pub fn arriving(read: impl FnOnce() -> Instant) -> Instant {
        shared(&ARRIVING, read)
    }

    /// The time after the services below have returned: the shared reading, or else that of `read`.
    #[inline]
    pub fn leaving(read: impl FnOnce() -> Instant) -> Instant {
        shared(&LEAVING, read)
    }
}

#[inline]
fn shared(
    known: &'static std::thread::LocalKey<Cell<Option<Instant>>>,
    read: impl FnOnce() -> Instant,
) -> Instant {
    if let Some(known) = known.get() {
        return known;
    }
    let now = read();
    if LASTS.get() {
        known.set(Some(now));
    }
    now
}

impl Drop for CallClock {
    #[inline]
    fn drop(&mut self) {
        ARRIVING.set(None);
        if self.is_outermost {
            LEAVING.set(None);
            LASTS.set(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// A clock that advances by a second with each reading.
    struct Clock(Cell<Instant>);

    impl Clock {
        fn new() -> Self {
            #[allow(
                clippy::disallowed_methods,
                reason = "a beginning is needed, of whatever value"
            )]
            Self(Cell::new(Instant::now()))
        }

        fn read(&self) -> Instant {
            let now = self.0.get() + Duration::from_secs(1);
            self.0.set(now);
            now
        }

        fn arriving(&self) -> Instant {
            CallClock::arriving(|| self.read())
        }

        fn leaving(&self) -> Instant {
            CallClock::leaving(|| self.read())
        }
    }

    #[test]
    fn layers_share_a_reading_on_the_way_in_and_one_on_the_way_out() {
        let clock = Clock::new();
        let outer = CallClock::begin();
        let came = clock.arriving();
        let inner = CallClock::begin();
        assert_eq!(clock.arriving(), came);
        let went = clock.leaving();
        assert_ne!(went, came);
        drop(inner);
        assert_eq!(clock.leaving(), went);
        drop(outer);
    }

    #[test]
    fn a_second_call_within_a_poll_has_readings_of_its_own() {
        let clock = Clock::new();
        let _outer = CallClock::begin();
        let call = || {
            let _clock = CallClock::begin();
            (clock.arriving(), clock.leaving())
        };
        let (first, second) = (call(), call());
        assert!(first.0 < first.1 && first.1 < second.0 && second.0 < second.1);
        assert_eq!(clock.leaving(), second.1);
    }

    #[test]
    fn what_was_read_before_a_service_returned_is_not_the_time_after_it() {
        let clock = Clock::new();
        let _outer = CallClock::begin();
        let before = clock.arriving();
        drop(CallClock::begin());
        assert_ne!(clock.arriving(), before);
    }

    #[test]
    fn no_reading_outlives_its_call_nor_is_shared_without_one() {
        let clock = Clock::new();
        assert_ne!(clock.arriving(), clock.arriving());
        assert_ne!(clock.leaving(), clock.leaving());
        let outer = CallClock::begin();
        let (came, went) = (clock.arriving(), clock.leaving());
        drop(outer);
        let _clock = CallClock::begin();
        assert!(clock.arriving() != came && clock.leaving() != went);
    }

    #[test]
    fn a_panic_ends_the_calls_it_passes() {
        let clock = Clock::new();
        let unwound = std::panic::catch_unwind(|| {
            let _clock = CallClock::begin();
            panic!("of a service below");
        });
        assert!(unwound.is_err());
        assert_ne!(clock.arriving(), clock.arriving());
    }
}
