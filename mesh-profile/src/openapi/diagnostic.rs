use super::{Import, document::Key};
use crate::ProfileSpec;
use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    fmt,
};

/// Something a reader should know of how a document was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    severity: Severity,
    source: String,
    place: Option<(u64, u64)>,
    message: String,
}

/// Severity of a [`Diagnostic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Nothing was lost.
    Note,
    /// Something in the document has no effect.
    Warning,
    /// The document cannot be used.
    Error,
}

impl Diagnostic {
    /// Returns the severity.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Line and column, from one.
    pub fn place(&self) -> Option<(u64, u64)> {
        self.place
    }

    /// Returns the message, without source, place and severity.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl Diagnostic {
    /// Makes an error of a warning, as `strict` demands.
    fn into_error(self) -> Self {
        Self {
            severity: Severity::Error,
            ..self
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.source)?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        match self.severity {
            Severity::Note => write!(f, " note: {}", self.message),
            Severity::Warning => write!(f, " warning: {}", self.message),
            Severity::Error => write!(f, " {}", self.message),
        }
    }
}

/// The reasons why a document cannot be used: one error, or every warning under `strict`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(Vec<Diagnostic>);

impl Error {
    /// Returns the reasons, in the order of the document.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.0.iter().enumerate() {
            let newline = if i > 0 { "\n" } else { "" };
            write!(f, "{newline}{diagnostic}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

/// Byte offset in the text, if it is known.
pub(super) type Place = Option<usize>;

/// A message with its line and column, if they are known.
type AtLine = (Option<(u64, u64)>, String);

/// The text cannot be used; the reason is among the diagnostics.
#[derive(Debug)]
pub(super) struct Refused;

/// Collects diagnostics by offset; lines are counted once, at the end.
#[derive(Debug)]
pub(super) struct Diagnostics<'t> {
    text: &'t str,
    source: &'t str,
    found: RefCell<Vec<(Place, Severity, String)>>,
    /// Set where the reader knows lines and not offsets.
    at_line: RefCell<Option<AtLine>>,
    finds_duplicates: Cell<bool>,
}

impl<'t> Diagnostics<'t> {
    pub(super) fn new(text: &'t str, source: &'t str) -> Self {
        Self {
            text,
            source,
            found: RefCell::default(),
            at_line: RefCell::default(),
            finds_duplicates: Cell::default(),
        }
    }

    /// Makes readers look for duplicate keys in what they skip, too.
    pub(super) fn find_duplicates(&self) {
        self.finds_duplicates.set(true);
    }

    pub(super) fn finds_duplicates(&self) -> bool {
        self.finds_duplicates.get()
    }

    /// Refuses a document in which either of two members would give another profile.
    pub(super) fn refuse_duplicate(&self, key: &Key<'_>, first: Place) {
        let first = first.map_or(String::new(), |first| {
            let line = self.text[..first].matches('\n').count() + 1;
            format!("; the first is in line {line}")
        });
        self.refuse(key.place, format!("duplicate key {:?}{first}", key.text));
    }

    /// Reports a second member that changes nothing of the profile, or is the one that counts.
    pub(super) fn warn_of_duplicate(&self, key: &Key<'_>) {
        let message = format!("duplicate key {:?}; the last one counts", key.text);
        self.warn(key.place, message);
    }

    pub(super) fn note(&self, place: Place, message: impl Into<String>) {
        self.push(place, Severity::Note, message.into());
    }

    pub(super) fn warn(&self, place: Place, message: impl Into<String>) {
        self.push(place, Severity::Warning, message.into());
    }

    pub(super) fn refuse(&self, place: Place, message: impl Into<String>) -> Refused {
        self.push(place, Severity::Error, message.into());
        Refused
    }

    pub(super) fn refuse_at(&self, line_column: Option<(u64, u64)>, message: String) -> Refused {
        *self.at_line.borrow_mut() = Some((line_column, message));
        Refused
    }

    /// Returns true if an error was recorded.
    pub(super) fn has_refused(&self) -> bool {
        let found = self.found.borrow();
        found
            .iter()
            .any(|(_, severity, _)| *severity == Severity::Error)
    }

    /// Forgets everything, to read the text once more in another way.
    pub(super) fn clear(&self) {
        self.forget_since(0);
    }

    /// Returns the number of diagnostics.
    pub(super) fn count(&self) -> usize {
        self.found.borrow().len()
    }

    /// Forgets what was found since there were so many.
    pub(super) fn forget_since(&self, count: usize) {
        self.found.borrow_mut().truncate(count);
        *self.at_line.borrow_mut() = None;
    }

    /// The offset of `part`, if it is a part of the text and no copy.
    pub(super) fn place_of(&self, part: &str) -> Place {
        let offset = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (offset + part.len() <= self.text.len()).then_some(offset)
    }

    fn push(&self, place: Place, severity: Severity, message: String) {
        self.found.borrow_mut().push((place, severity, message));
    }

    pub(super) fn finish(
        self,
        spec: Result<ProfileSpec, Refused>,
        strict: bool,
    ) -> Result<Import, Error> {
        let diagnostics = self.in_order();
        let is_lost = |d: &Diagnostic| match d.severity {
            Severity::Note => false,
            Severity::Warning => strict,
            Severity::Error => true,
        };
        match spec {
            Ok(spec) if !diagnostics.iter().any(is_lost) => Ok(Import { spec, diagnostics }),
            Ok(_) => {
                let lost = diagnostics.into_iter().filter(is_lost);
                Err(Error(lost.map(Diagnostic::into_error).collect()))
            }
            Err(Refused) => Err(Error(
                diagnostics
                    .into_iter()
                    .filter(|d| d.severity == Severity::Error)
                    .collect(),
            )),
        }
    }

    fn in_order(self) -> Vec<Diagnostic> {
        let mut found = self.found.into_inner();
        // A path item that several references lead to is read once for each pass.
        let mut seen = HashSet::new();
        found.retain(|diagnostic| seen.insert(diagnostic.clone()));
        found.sort_by_key(|(place, _, _)| *place);
        let (mut line, mut line_start, mut seen) = (1, 0, 0);
        let mut all: Vec<_> = found
            .into_iter()
            .map(|(place, severity, message)| {
                let place = place.map(|place| {
                    for (i, _) in self.text[seen..place].match_indices('\n') {
                        line += 1;
                        line_start = seen + i + 1;
                    }
                    seen = place;
                    let column = self.text[line_start..place].chars().count() as u64 + 1;
                    (line, column)
                });
                Diagnostic {
                    severity,
                    source: self.source.to_owned(),
                    place,
                    message,
                }
            })
            .collect();
        all.extend(
            self.at_line
                .into_inner()
                .map(|(place, message)| Diagnostic {
                    severity: Severity::Error,
                    source: self.source.to_owned(),
                    place,
                    message,
                }),
        );
        all
    }
}
