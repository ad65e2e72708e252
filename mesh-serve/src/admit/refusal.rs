use http::StatusCode;
use std::{borrow::Cow, error::Error, fmt};

/// A request that the server refuses, and the status that it is answered with.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    text: Cow<'static, str>,
    closes: bool,
}

impl Refusal {
    /// Refuses with `status`, for the reason that `text` gives.
    pub fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        let text = text.into();
        Self {
            status,
            text,
            closes: false,
        }
    }

    /// Closes the HTTP/1 connection with the answer, where the next request could not be told from
    /// the rest of this one.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// Returns true if the HTTP/1 connection closes with the answer.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Refusal {}
