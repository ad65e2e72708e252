use crate::{
    Broken, Law,
    law::violated,
    permit::{Permit, Token},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

/// Frames, size hint and end of a test body.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    frames: Vec<Bytes>,
    trailers: Option<HeaderMap>,
    /// Number of bytes that the size hint leaves open; `None` is an exact hint.
    slack: Option<u64>,
    breaks: bool,
}

impl Shape {
    /// A body that is over before it begins.
    pub fn empty() -> Self {
        Self::default()
    }

    /// A body of these frames, whose length is known.
    pub fn of(frames: impl IntoIterator<Item = &'static str>) -> Self {
        Self {
            frames: frames.into_iter().map(Bytes::from).collect(),
            ..Self::default()
        }
    }

    /// Leaves the last `slack` bytes of the size hint open.
    #[must_use]
    pub fn with_slack(mut self, slack: u64) -> Self {
        self.slack = Some(slack);
        self
    }

    /// Ends with a trailer.
    #[must_use]
    pub fn with_trailer(mut self, value: &'static str) -> Self {
        let trailers = self.trailers.get_or_insert_default();
        trailers.insert("conformance-trailer", HeaderValue::from_static(value));
        self
    }

    /// Ends with an error.
    #[must_use]
    pub fn breaking(mut self) -> Self {
        self.breaks = true;
        self
    }

    /// All of its data.
    pub fn data(&self) -> Bytes {
        self.frames.concat().into()
    }

    /// The trailers it ends with.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    pub(crate) fn breaks(&self) -> bool {
        self.breaks
    }

    /// The shapes that laws on bodies are checked with.
    pub(crate) fn all() -> [Self; 7] {
        [
            Self::empty(),
            Self::of(["one frame"]),
            Self::of(["first, ", "second, ", "third"]),
            Self::of(["how long, ", "nobody knows"]).with_slack(7),
            Self::of(["data, ", "then"]).with_trailer("a trailer"),
            Self::empty().with_trailer("nothing else"),
            Self::of(["not all of it"]).breaking(),
        ]
    }
}

/// A body of a [`Shape`] that gives each frame only when it was asked twice, and panics when it
/// is polled after its end.
pub struct StrictBody {
    frames: VecDeque<Bytes>,
    trailers: Option<HeaderMap>,
    slack: Option<u64>,
    breaks: bool,
    what: &'static str,
    asked: bool,
    over: bool,
    permit: Option<Permit>,
    _token: Option<Token>,
}

impl StrictBody {
    /// Makes a body outside any exchange, for your own tests.
    pub fn new(shape: &Shape) -> Self {
        Self::with(shape, "a body", None, None)
    }

    pub(crate) fn with(
        shape: &Shape,
        what: &'static str,
        permit: Option<Permit>,
        token: Option<Token>,
    ) -> Self {
        let mut body = Self {
            frames: shape.frames.iter().cloned().collect(),
            trailers: shape.trailers.clone(),
            slack: shape.slack,
            breaks: shape.breaks,
            what,
            asked: false,
            over: false,
            permit,
            _token: token,
        };
        body.release_at_end();
        body
    }

    /// A connection is free when there is nothing left to read from it.
    fn release_at_end(&mut self) {
        if self.is_end_stream() {
            self.permit = None;
        }
    }
}

impl Body for StrictBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.over {
            violated(
                Law::ResolvesOnce,
                format_args!("{} was polled after its end", self.what),
            );
        }
        if !self.is_end_stream() && !self.asked {
            self.asked = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.asked = false;
        let frame = if let Some(data) = self.frames.pop_front() {
            Some(Ok(Frame::data(data)))
        } else if self.breaks {
            self.breaks = false;
            self.over = true;
            Some(Err(Broken(self.what)))
        } else if let Some(trailers) = self.trailers.take() {
            Some(Ok(Frame::trailers(trailers)))
        } else {
            self.over = true;
            None
        };
        self.release_at_end();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.trailers.is_none() && !self.breaks
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.frames.iter().map(|frame| frame.len() as u64).sum();
        match self.slack {
            None => SizeHint::with_exact(rest),
            Some(slack) => {
                let mut hint = SizeHint::new();
                hint.set_upper(rest + slack);
                hint.set_lower(rest.saturating_sub(slack));
                hint
            }
        }
    }
}

impl fmt::Debug for StrictBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StrictBody")
            .field("frames", &self.frames.len())
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}
