use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// Time over which traffic is counted, until now: at least 15 s, by default a minute.
///
/// It is written as `90s`, `1m30s` or `1500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Window(Duration);

impl Window {
    /// The shortest window.
    pub const MIN: Duration = Duration::from_secs(15);
    /// History that a controller keeps: longer windows are counted over that.
    pub const KEPT: Duration = Duration::from_secs(15 * 60);

    /// A window of this length.
    ///
    /// # Errors
    ///
    /// [`InvalidWindow`] if it is shorter than [`MIN`](Self::MIN).
    pub fn new(length: Duration) -> Result<Self, InvalidWindow> {
        match length < Self::MIN {
            true => Err(InvalidWindow::TooShort),
            false => Ok(Self(length)),
        }
    }

    /// Its length.
    pub fn length(self) -> Duration {
        self.0
    }

    #[allow(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature is serde's"
    )]
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for Window {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

/// Units of a window and their milliseconds, longer names first.
const UNITS: [(&str, f64); 4] = [("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6)];

/// The longest window that is read: about 31 years.
const MAX_MILLIS: f64 = 1e12;

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let invalid = || InvalidWindow::Grammar(text.to_owned());
        let (mut rest, mut total) = (text, 0.0);
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
            let (number, after) = rest.split_at(end.ok_or_else(invalid)?);
            let unit = UNITS.iter().find(|(unit, _)| after.starts_with(unit));
            let (unit, millis) = unit.ok_or_else(invalid)?;
            let number: f64 = number.parse().map_err(|_| invalid())?;
            total += number * millis;
            rest = &after[unit.len()..];
        }
        match text.is_empty() || total > MAX_MILLIS {
            true => Err(invalid()),
            false => Self::new(Duration::from_millis(total.round() as u64)),
        }
    }
}

impl fmt::Display for Window {
    /// Whole units, longest first: `1m30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        for (unit, millis) in UNITS.into_iter().rev() {
            let millis = millis as u64;
            if rest >= millis {
                write!(f, "{}{unit}", rest / millis)?;
                rest %= millis;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Window {
    type Error = InvalidWindow;

    fn try_from(text: String) -> Result<Self, InvalidWindow> {
        text.parse()
    }
}

impl From<Window> for String {
    fn from(window: Window) -> Self {
        window.to_string()
    }
}

/// Error of a window that cannot be read or is too short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidWindow {
    /// The text is no duration.
    Grammar(String),
    /// It is shorter than [`Window::MIN`].
    TooShort,
}

impl fmt::Display for InvalidWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grammar(text) => write!(
                f,
                "invalid time window: {text:?} is not a duration such as 90s, 5m or 1m30s"
            ),
            Self::TooShort => f.write_str("metrics time window needs to be at least 15s"),
        }
    }
}

impl std::error::Error for InvalidWindow {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_read_and_written() {
        for (text, seconds, written) in [
            ("15s", 15.0, "15s"),
            ("1m", 60.0, "1m"),
            ("90s", 90.0, "1m30s"),
            ("1h1m1s1ms", 3661.001, "1h1m1s1ms"),
            ("15001ms", 15.001, "15s1ms"),
            ("1.5m", 90.0, "1m30s"),
            (".5h", 1800.0, "30m"),
        ] {
            let window: Window = text.parse().unwrap();
            assert_eq!(window.length(), Duration::from_secs_f64(seconds), "{text}");
            assert_eq!(window.to_string(), written);
            assert_eq!(written.parse(), Ok(window));
        }
        for text in [
            "",
            "1",
            "m",
            "1d",
            "-1m",
            "1..5m",
            ".",
            "99999999999999999999s",
            "9999999999999999h",
        ] {
            let error = text.parse::<Window>().unwrap_err();
            assert_eq!(error, InvalidWindow::Grammar(text.to_owned()), "{text}");
        }
        for text in ["0s", "14s", "14999ms"] {
            assert_eq!(text.parse::<Window>(), Err(InvalidWindow::TooShort));
        }
    }
}
