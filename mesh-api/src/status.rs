use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Range of HTTP statuses: `503`, `5xx` or `500-599`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct StatusRange {
    first: u16,
    last: u16,
}

impl StatusRange {
    /// The lowest status, between 100 and 999.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest status, included.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl FromStr for StatusRange {
    type Err = InvalidStatus;

    fn from_str(text: &str) -> Result<Self, InvalidStatus> {
        let invalid = || InvalidStatus(text.to_owned());
        let status = |text: &str| {
            let is_status = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
            let status = is_status.then(|| text.parse().ok()).flatten();
            status.filter(|status| *status >= 100).ok_or_else(invalid)
        };
        let (first, last) = if let Some(class) = text.strip_suffix("xx") {
            let first = status(&format!("{class}00"))?;
            (first, first + 99)
        } else if let Some((first, last)) = text.split_once('-') {
            (status(first)?, status(last)?)
        } else {
            (status(text)?, status(text)?)
        };
        match first <= last {
            true => Ok(Self { first, last }),
            false => Err(invalid()),
        }
    }
}

impl fmt::Display for StatusRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first == self.last {
            true => write!(f, "{}", self.first),
            false => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl TryFrom<String> for StatusRange {
    type Error = InvalidStatus;

    fn try_from(text: String) -> Result<Self, InvalidStatus> {
        text.parse()
    }
}

impl From<StatusRange> for String {
    fn from(range: StatusRange) -> Self {
        range.to_string()
    }
}

/// Error of a text that is no range of statuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidStatus(String);

impl fmt::Display for InvalidStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(f, "{text:?} is no HTTP status; write 503, 5xx or 500-599")
    }
}

impl std::error::Error for InvalidStatus {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_and_written() {
        for (text, first, last, written) in [
            ("503", 503, 503, "503"),
            ("5xx", 500, 599, "500-599"),
            ("400-499", 400, 499, "400-499"),
        ] {
            let range: StatusRange = text.parse().unwrap();
            assert_eq!((range.first(), range.last()), (first, last), "{text}");
            assert_eq!(range.to_string(), written);
            assert_eq!(written.parse(), Ok(range));
        }
        for text in ["", "99", "xx", "0xx", "55xx", "599-500", "5", "+50", "500-"] {
            assert!(text.parse::<StatusRange>().is_err(), "{text}");
        }
    }
}
