use std::{error::Error, fmt};

/// A rule that every service must keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// Calls an inner service only when that very clone has said that it is ready, and says
    /// that it is ready itself only when it can keep its word.
    PollsBeforeItCalls,
    /// Readiness belongs to one clone: its clones are not ready, and it stays ready.
    SurvivesClones,
    /// Dropped at any point, it drops the inner call and everything that was the request's.
    CancelSafe,
    /// The inner service gets every permit back: after a success, an error, a drop.
    LosesNoPermit,
    /// Sends a request once; if it may send failures again, then only after they have ended.
    SendsOnce,
    /// Errors of readiness, of a call and of a body reach the caller, as themselves or as a
    /// source.
    SurfacesErrors,
    /// Frames, trailers, `size_hint` and `is_end_stream` of both bodies stay what they were.
    KeepsBodies,
    /// Method, target, version, status, headers and extensions stay; others may be added.
    PassesThrough,
    /// Neither a future nor a body is polled again after it has ended.
    ResolvesOnce,
    /// Pending callers are woken through the waker of the last poll.
    Wakes,
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PollsBeforeItCalls => "polls before it calls",
            Self::SurvivesClones => "survives clones",
            Self::CancelSafe => "is cancel-safe",
            Self::LosesNoPermit => "loses no permit",
            Self::SendsOnce => "sends a request once",
            Self::SurfacesErrors => "surfaces errors",
            Self::KeepsBodies => "keeps bodies",
            Self::PassesThrough => "passes heads through",
            Self::ResolvesOnce => "resolves once",
            Self::Wakes => "wakes who waits",
        })
    }
}

/// Ends the test: the one place that words a violation.
#[track_caller]
pub(crate) fn violated(law: Law, what: impl fmt::Display) -> ! {
    panic!("broken law: a service {law}: {what}")
}

/// The error of a [`Mock`](crate::Mock) and its bodies, for laws on errors to find again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(pub(crate) &'static str);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broke, as it was told to", self.0)
    }
}

impl Error for Broken {}

/// The error type of boxing middleware.
pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Checks that `error` is, or was caused by, what the mock said.
pub(crate) fn expect_broken(error: impl Into<BoxError>, what: &'static str) {
    let error = error.into();
    let mut next: Option<&(dyn Error + 'static)> = Some(&*error);
    while let Some(error) = next {
        if error.downcast_ref() == Some(&Broken(what)) {
            return;
        }
        next = error.source();
    }
    violated(
        Law::SurfacesErrors,
        format_args!("{what} broke, and its error is not among the causes of `{error}`"),
    )
}
