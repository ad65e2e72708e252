use mesh_transport::Io;
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
};

/// The activity of a connection, written by its socket and its requests for its watchdog.
///
/// All of them run on one worker: the atomics only satisfy the compiler.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    /// The proxy is leaving: answers say `connection: close`.
    leaving: AtomicBool,
    /// Requests so far.
    requests: AtomicU32,
    /// Requests whose responses are not over.
    open: AtomicU32,
    /// HTTP/1: something was read since the last request.
    arrived: AtomicBool,
    /// The socket took no more.
    blocked: AtomicBool,
    /// Writes that the socket took.
    writes: AtomicU32,
    /// Bodies whose last frame was taken, and that were not asked for another.
    untaken: AtomicU32,
    /// Frames that were taken.
    frames: AtomicU32,
    /// A response of ours was handed over since the last write.
    answering: AtomicBool,
    /// The head took too long.
    late: AtomicBool,
    /// HTTP/2: a head, or another frame but one of a body, has begun and not ended.
    in_frame: AtomicBool,
    /// HTTP/2: heads and frames that have ended.
    whole_frames: AtomicU32,
    /// HTTP/2: streams that the client has reset.
    resets: AtomicU32,
    /// Requests whose responses were given up before their end.
    given_up: AtomicU32,
    /// HTTP/2: too many were cancelled.
    cancelled: AtomicBool,
    /// The connection ends with an error that the client has yet to read.
    refused: AtomicBool,
    /// HTTP/1: the response to the last request has a head.
    answered: AtomicBool,
    /// HTTP/1: the body of the last request was not read to its end.
    unread: AtomicBool,
    /// The socket, if its client may still be sending when the connection ends, and the last word
    /// on it.
    leftover: Mutex<Option<(Io, Vec<u8>)>>,
}

/// A wait of a connection that has a time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The next request.
    Idle,
    /// The rest of a head.
    Head,
    /// The client, which does not read.
    Stalled,
    /// The endpoint, or a body: whatever it takes.
    Busy,
}

impl Pulse {
    pub(super) fn leave(&self) {
        self.leaving.store(true, Relaxed);
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed)
    }

    /// A request has arrived.
    pub(super) fn begin(&self) {
        add(&self.requests, 1);
        add(&self.open, 1);
        self.arrived.store(false, Relaxed);
        self.unread.store(false, Relaxed);
        self.answered.store(false, Relaxed);
    }

    /// Its body is about to be read.
    pub(crate) fn begin_body(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Its body was read to the end.
    pub(crate) fn end_body(&self) {
        self.unread.store(false, Relaxed);
    }

    pub(super) fn is_unread(&self) -> bool {
        self.unread.load(Relaxed)
    }

    /// Returns true if there is a request whose response is not over.
    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Relaxed) > 0
    }

    /// Returns true if the last request has the head of its answer.
    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// Keeps the socket of a connection that ends with `last` while its client may be sending.
    pub(super) fn leave_over(&self, io: Io, last: Vec<u8>) {
        *self.leftover.lock().unwrap_or_else(PoisonError::into_inner) = Some((io, last));
    }

    pub(super) fn take_leftover(&self) -> Option<(Io, Vec<u8>)> {
        self.leftover
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Its response has a head.
    pub(super) fn answer(&self) {
        self.answered.store(true, Relaxed);
        self.answering.store(true, Relaxed);
    }

    /// Its response is over.
    pub(super) fn end(&self) {
        add(&self.open, u32::MAX);
    }

    /// Its response is over before it has ended.
    pub(super) fn give_up(&self) {
        add(&self.given_up, 1);
        self.end();
    }

    pub(super) fn given_up(&self) -> u32 {
        self.given_up.load(Relaxed)
    }

    pub(super) fn frame_taken(&self) {
        add(&self.frames, 1);
        add(&self.untaken, 1);
    }

    pub(super) fn asked_for_more(&self) {
        add(&self.untaken, u32::MAX);
    }

    pub(super) fn read(&self) {
        if self.open.load(Relaxed) == 0 {
            self.arrived.store(true, Relaxed);
        }
    }

    pub(super) fn wrote(&self, blocked: bool) {
        self.blocked.store(blocked, Relaxed);
        if !blocked {
            add(&self.writes, 1);
            self.answering.store(false, Relaxed);
        }
    }

    /// Records that all writes have left, or are blocked because the socket takes no more.
    pub(super) fn flushed(&self, blocked: bool) {
        self.blocked.store(blocked, Relaxed);
    }

    /// Returns true between requests, when only hyper itself writes.
    pub(super) fn is_between_requests(&self) -> bool {
        self.open.load(Relaxed) == 0 && !self.answering.load(Relaxed)
    }

    pub(super) fn be_late(&self) {
        self.late.store(true, Relaxed);
    }

    /// Returns true, once, if the head took too long.
    pub(super) fn take_late(&self) -> bool {
        self.late.load(Relaxed) && self.late.swap(false, Relaxed)
    }

    pub(super) fn in_frame(&self, within: bool) {
        self.in_frame.store(within, Relaxed);
    }

    pub(super) fn whole_frame(&self) {
        add(&self.whole_frames, 1);
    }

    /// A stream was reset by the client.
    pub(super) fn reset(&self) {
        add(&self.resets, 1);
    }

    pub(super) fn resets(&self) -> u32 {
        self.resets.load(Relaxed)
    }

    pub(super) fn requests(&self) -> u32 {
        self.requests.load(Relaxed)
    }

    /// The client has reset too many streams.
    pub(super) fn be_cancelled(&self) {
        self.cancelled.store(true, Relaxed);
    }

    pub(super) fn was_cancelled(&self) -> bool {
        self.cancelled.load(Relaxed)
    }

    pub(super) fn refuse(&self) {
        self.refused.store(true, Relaxed);
    }

    pub(super) fn was_refused(&self) -> bool {
        self.refused.load(Relaxed)
    }

    /// The current wait, and a number that changes with any progress.
    pub(super) fn phase(&self, http2: bool) -> (Phase, u32) {
        // Whatever its streams do: none hears anything more before this ends.
        if self.in_frame.load(Relaxed) {
            return (Phase::Head, self.whole_frames.load(Relaxed));
        }
        if self.blocked.load(Relaxed) {
            return (Phase::Stalled, self.writes.load(Relaxed));
        }
        if self.open.load(Relaxed) > 0 {
            // Over HTTP/1 a body that is not asked for more waits for the socket.
            return match http2 && self.untaken.load(Relaxed) > 0 {
                true => (Phase::Stalled, self.frames.load(Relaxed)),
                false => (Phase::Busy, 0),
            };
        }
        match !http2 && self.arrived.load(Relaxed) {
            true => (Phase::Head, self.requests.load(Relaxed)),
            false => (Phase::Idle, self.requests.load(Relaxed)),
        }
    }
}

/// Without the price of an atomic addition: nobody else is at it.
fn add(number: &AtomicU32, n: u32) {
    number.store(number.load(Relaxed).wrapping_add(n), Relaxed);
}
