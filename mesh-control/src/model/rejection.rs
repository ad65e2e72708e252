use super::Reference;
use std::fmt;

/// A resource, or a whole document, that was refused, and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The document: a file's path, or the name of a request's text.
    pub source: String,
    /// The resource that the document declares, if that is known.
    pub resource: Option<Reference>,
    /// The line, from 1, if one line is at fault.
    pub line: Option<u64>,
    /// The column, from 1.
    pub column: Option<u64>,
    /// The reason.
    pub reason: String,
}

impl Rejection {
    /// Rejects the whole of `source`.
    pub fn of(source: &str, reason: impl fmt::Display) -> Self {
        Self {
            source: source.into(),
            resource: None,
            line: None,
            column: None,
            reason: reason.to_string(),
        }
    }
}

impl fmt::Display for Rejection {
    /// Writes `SOURCE:LINE:COLUMN: REASON`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for Rejection {}
