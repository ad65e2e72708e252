use super::MAX_DEPTH;
use serde_saphyr::{
    Error as Yaml, Location, MessageFormatter, UserMessageFormatter, budget::BudgetBreach,
};
use std::fmt;

/// An error in a text, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    source: String,
    place: Option<(u64, u64)>,
    message: String,
    is_duplicate_key: bool,
}

impl Error {
    /// `place` is line and column, from one.
    pub fn new(source: &str, place: Option<(u64, u64)>, message: String) -> Self {
        Self {
            source: source.to_owned(),
            place,
            message,
            is_duplicate_key: false,
        }
    }

    /// Returns the name of the text.
    pub fn source_name(&self) -> &str {
        &self.source
    }

    /// Line and column, from one.
    pub fn place(&self) -> Option<(u64, u64)> {
        self.place
    }

    /// Returns the message, without name and place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns true if an object has two members of one name.
    pub fn is_duplicate_key(&self) -> bool {
        self.is_duplicate_key
    }

    pub(crate) fn of(error: &Yaml, source: &str, lines_before: u64) -> Self {
        let error = error.without_snippet();
        let place = error
            .location()
            .filter(|location| *location != Location::UNKNOWN)
            .map(|location| (location.line() + lines_before, location.column()));
        Self {
            is_duplicate_key: matches!(error, Yaml::DuplicateMappingKey { .. }),
            ..Self::new(source, place, message(error))
        }
    }
}

fn message(error: &Yaml) -> String {
    match error {
        Yaml::SerdeUnknownField {
            field, expected, ..
        } => match (did_you_mean(field, expected), expected.as_slice()) {
            (Some(meant), _) => format!("unknown field `{field}`, did you mean `{meant}`?"),
            (None, []) => format!("unknown field `{field}`; none is expected here"),
            (None, expected) => {
                let expected = expected.join(", ");
                format!("unknown field `{field}`; expected one of {expected}")
            }
        },
        Yaml::DuplicateMappingKey { key: Some(key), .. } => format!("duplicate key `{key}`"),
        Yaml::Unexpected {
            expected: "mapping start",
            ..
        } => "an object was expected here, lines of KEY: VALUE".to_owned(),
        Yaml::Unexpected {
            expected: "sequence start",
            ..
        } => "a list was expected here, lines of - VALUE".to_owned(),
        Yaml::Unexpected {
            expected: "string scalar",
            ..
        } => "text was expected here".to_owned(),
        Yaml::InvalidScalar { ty, .. } => match ty.as_bytes() {
            [b'u', ..] => "a whole number, not below zero, was expected here".to_owned(),
            [b'i', ..] => "a whole number was expected here".to_owned(),
            [b'f', ..] => "a number was expected here".to_owned(),
            _ => format!("a {ty} was expected here"),
        },
        Yaml::SerdeMissingField { field, .. } => format!("missing field `{field}`"),
        Yaml::Budget {
            breach: BudgetBreach::Depth { .. },
            ..
        } => too_deep(),
        other => {
            let message = UserMessageFormatter.format_message(other);
            // The parser's own limit is wider, but it reads ahead.
            match message.contains("recursion limit exceeded") {
                true => too_deep(),
                false => message.into_owned(),
            }
        }
    }
}

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} lists and objects within each other")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.source)?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for Error {}

/// The candidate that `word` is probably a misspelling of: at most a third of it wrong.
pub fn did_you_mean<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (distance(word, candidate), *candidate))
        .filter(|(distance, candidate)| 3 * distance <= word.len().max(candidate.len()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// The fewest letters to insert, remove, replace or swap; case counts for nothing.
fn distance(a: &str, b: &str) -> usize {
    strsim::osa_distance(&a.to_lowercase(), &b.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelling_is_recognised() {
        let fields = ["name", "condition", "isRetryable", "timeout"];
        assert_eq!(did_you_mean("isRetriable", &fields), Some("isRetryable"));
        assert_eq!(did_you_mean("isretryable", &fields), Some("isRetryable"));
        assert_eq!(did_you_mean("nmae", &fields), Some("name"));
        assert_eq!(did_you_mean("responses", &fields), None);
        assert_eq!(did_you_mean("", &fields), None);
    }
}
