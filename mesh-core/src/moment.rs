use std::{cell::Cell, marker::PhantomData, time::Instant};

/// One call or poll of a layer: while it lasts, all layers of the stack share what one of them
/// reads of the clock.
///
/// To read a clock costs 20 ns or more, and half of the layers of a stack want to know when a
/// request came and when its response did. Each of them begins a moment where it is called or
/// polled and asks for the time within it: by [`arriving`](Self::arriving) before it calls what
/// is below, by [`leaving`](Self::leaving) after that has returned. The first one that asks
/// reads; the others are given the same reading, in a moment that has one. Alone, a layer reads
/// for itself.
///
/// A reading never outlives the call or poll in which it was made. The one on the way in is of
/// no use any more once anything below has returned, nor the one on the way out once anything
/// below is called or polled again: so what a service does within is always in between. What
/// layers do between two that share a reading is not seen, and is no time to speak of. But a
/// program may call a stack of its own and then compute before it returns: whoever stands above
/// programs and is exact about time reads the clock for itself on the way out.
///
/// ```
/// use mesh_core::Moment;
/// use std::time::Instant;
///
/// # #[allow(clippy::disallowed_methods)]
/// # fn clock() -> Instant { Instant::now() }
/// fn outer() -> (Instant, Instant) {
///     let _moment = Moment::begin();
///     (Moment::arriving(clock), inner())
/// }
///
/// fn inner() -> Instant {
///     let _moment = Moment::begin();
///     Moment::arriving(clock)
/// }
///
/// let (outer, inner) = outer();
/// assert_eq!(outer, inner);
/// ```
#[derive(Debug)]
#[must_use = "it lasts until it is dropped"]
pub struct Moment {
    is_outermost: bool,
    /// It is of this thread.
    _not_send: PhantomData<*const ()>,
}

thread_local! {
    static LASTS: Cell<bool> = const { Cell::new(false) };
    static ARRIVING: Cell<Option<Instant>> = const { Cell::new(None) };
    static LEAVING: Cell<Option<Instant>> = const { Cell::new(None) };
}

impl Moment {
    /// Begins a moment, or takes part in the one that lasts on this thread.
    #[inline]
    pub fn begin() -> Self {
        LEAVING.set(None);
        Self {
            is_outermost: !LASTS.replace(true),
            _not_send: PhantomData,
        }
    }

    /// The time on the way to the services below: the moment's, or what `read` says.
    #[inline]
    pub fn arriving(read: impl FnOnce() -> Instant) -> Instant {
        shared(&ARRIVING, read)
    }

    /// The time after the services below have returned: the moment's, or what `read` says.
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

impl Drop for Moment {
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

    /// A clock that is a second later each time somebody reads it.
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
            Moment::arriving(|| self.read())
        }

        fn leaving(&self) -> Instant {
            Moment::leaving(|| self.read())
        }
    }

    #[test]
    fn layers_share_a_reading_on_the_way_in_and_one_on_the_way_out() {
        let clock = Clock::new();
        let outer = Moment::begin();
        let came = clock.arriving();
        let inner = Moment::begin();
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
        let _outer = Moment::begin();
        let call = || {
            let _moment = Moment::begin();
            (clock.arriving(), clock.leaving())
        };
        let (first, second) = (call(), call());
        assert!(first.0 < first.1 && first.1 < second.0 && second.0 < second.1);
        assert_eq!(clock.leaving(), second.1);
    }

    #[test]
    fn what_was_read_before_a_service_returned_is_not_the_time_after_it() {
        let clock = Clock::new();
        let _outer = Moment::begin();
        let before = clock.arriving();
        drop(Moment::begin());
        assert_ne!(clock.arriving(), before);
    }

    #[test]
    fn nothing_is_kept_beyond_a_moment_nor_without_one() {
        let clock = Clock::new();
        assert_ne!(clock.arriving(), clock.arriving());
        assert_ne!(clock.leaving(), clock.leaving());
        let moment = Moment::begin();
        let (came, went) = (clock.arriving(), clock.leaving());
        drop(moment);
        let _moment = Moment::begin();
        assert!(clock.arriving() != came && clock.leaving() != went);
    }

    #[test]
    fn a_panic_ends_the_moments_it_passes() {
        let clock = Clock::new();
        let unwound = std::panic::catch_unwind(|| {
            let _moment = Moment::begin();
            panic!("of a service below");
        });
        assert!(unwound.is_err());
        assert_ne!(clock.arriving(), clock.arriving());
    }
}
