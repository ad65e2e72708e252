//! Durations as people write them: `90s`, `1m30s`, `1.5h`, `300ms`.

use std::{fmt::Write as _, time::Duration};

/// Units and their milliseconds, longer names first.
const UNITS: [(&str, f64); 4] = [("ms", 1.0), ("s", 1e3), ("m", 6e4), ("h", 3.6e6)];

/// The longest duration that is read: about 31 years.
const MAX_MILLIS: f64 = 1e12;

/// Reads a duration, rounded to milliseconds.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let (mut rest, mut total) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let (unit, millis) = UNITS.iter().find(|(unit, _)| after.starts_with(unit))?;
        total += number.parse::<f64>().ok()? * millis;
        rest = &after[unit.len()..];
    }
    let is_valid = !text.is_empty() && total <= MAX_MILLIS;
    is_valid.then(|| Duration::from_millis(total.round() as u64))
}

/// Writes a duration in whole units, longest first: `1m30s`.
pub(crate) fn format(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, millis) in UNITS.into_iter().rev() {
        let millis = millis as u64;
        if rest >= millis || (text.is_empty() && unit == "ms") {
            let _ = write!(text, "{}{unit}", rest / millis);
            rest %= millis;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written() {
        for (text, seconds, written) in [
            ("15s", 15.0, "15s"),
            ("90s", 90.0, "1m30s"),
            ("1h1m1s1ms", 3661.001, "1h1m1s1ms"),
            ("300ms", 0.3, "300ms"),
            ("1.5m", 90.0, "1m30s"),
            (".5h", 1800.0, "30m"),
            ("0s", 0.0, "0ms"),
        ] {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_secs_f64(seconds), "{text}");
            assert_eq!(format(duration), written);
            assert_eq!(parse(written), Some(duration));
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
            "1ms ",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
