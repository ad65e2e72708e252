use crate::duration;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// Time over which traffic is counted, until now: at least 15 s, by default a minute.
///
/// It is written as `90s`, `1m30s` or `1500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
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
}

impl Default for Window {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let length = duration::parse(text);
        Self::new(length.ok_or_else(|| InvalidWindow::Grammar(text.to_owned()))?)
    }
}

impl fmt::Display for Window {
    /// Whole units, longest first: `1m30s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&duration::format(self.0))
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
        let window: Window = "90s".parse().unwrap();
        assert_eq!(window.length(), Duration::from_secs(90));
        assert_eq!(window.to_string(), "1m30s");
        let error = "1".parse::<Window>().unwrap_err();
        assert_eq!(error, InvalidWindow::Grammar("1".to_owned()));
        for text in ["0s", "14s", "14999ms"] {
            assert_eq!(text.parse::<Window>(), Err(InvalidWindow::TooShort));
        }
    }
}
