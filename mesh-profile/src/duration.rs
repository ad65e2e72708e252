//! Durations as profiles write them: the grammar of Go's `time.ParseDuration`.
//!
//! An optional sign, then one or more `<decimal><unit>` with the units `ns`, `us`, `µs`, `ms`,
//! `s`, `m` and `h`; a bare `0` stands alone. `1h30m`, `1.5s` and `.5s` are durations; `25`, `1d`
//! and `25 ms` are not.

use std::{fmt, time::Duration};

/// Reads a duration.
///
/// # Errors
///
/// [`InvalidDuration`] if `text` is not in the grammar, is negative, or exceeds what Go's 64 bits
/// of nanoseconds hold (about 292 years).
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let (negative, rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let nanos = nanos(rest).ok_or_else(|| InvalidDuration(text.into(), Reason::Grammar))?;
    if negative && nanos > 0 {
        return Err(InvalidDuration(text.into(), Reason::Negative));
    }
    Ok(Duration::from_nanos(nanos))
}

fn nanos(mut rest: &str) -> Option<u64> {
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let unit = unit_nanos(unit)?;

        let whole: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        let part = whole
            .checked_mul(unit)?
            .checked_add(fraction_of(fraction, unit))?;
        total = total.checked_add(part)?;
        rest = after;
    }
    (total <= i64::MAX as u64).then_some(total)
}

fn digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

fn unit_nanos(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        // U+00B5, the micro sign, and U+03BC, the Greek letter.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// Returns `0.fraction` of `unit`. Digits after the 13th have no effect, as the largest unit has 13.
fn fraction_of(fraction: &str, unit: u64) -> u64 {
    let (mut value, mut scale) = (0_u128, 1_u128);
    for digit in fraction.bytes().take(18) {
        value = value * 10 + u128::from(digit - b'0');
        scale *= 10;
    }
    (value * u128::from(unit) / scale) as u64
}

/// Writes a duration as Go does: `300ms`, `1.5s`, `1h30m0s`.
pub fn format(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".into();
    }
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return decimal(nanos, 1_000, "\u{b5}s");
    }
    if nanos < 1_000_000_000 {
        return decimal(nanos, 1_000_000, "ms");
    }
    let minutes = nanos / 60_000_000_000;
    let seconds = decimal(nanos % 60_000_000_000, 1_000_000_000, "s");
    match (minutes / 60, minutes % 60) {
        (0, 0) => seconds,
        (0, minutes) => format!("{minutes}m{seconds}"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
    }
}

fn decimal(nanos: u128, unit: u128, suffix: &str) -> String {
    let (whole, fraction) = (nanos / unit, nanos % unit);
    if fraction == 0 {
        return format!("{whole}{suffix}");
    }
    let width = unit.ilog10() as usize;
    let fraction = format!("{fraction:0width$}");
    format!("{whole}.{}{suffix}", fraction.trim_end_matches('0'))
}

/// A text that is no duration, or a negative one where none may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidDuration(String, Reason);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Grammar,
    Negative,
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Reason::Grammar => write!(
                f,
                "invalid duration {:?} (write a number and a unit, like 250ms, 1.5s or 1h30m)",
                self.0
            ),
            Reason::Negative => write!(f, "negative duration {:?}", self.0),
        }
    }
}

impl std::error::Error for InvalidDuration {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_go_reads_is_read() {
        for (text, nanos) in [
            ("0", 0),
            ("-0", 0),
            ("+0s", 0),
            ("25ms", 25_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("1us", 1_000),
            ("1\u{b5}s", 1_000),
            ("1\u{3bc}s", 1_000),
            ("2m3.5s", 123_500_000_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
            ("9223372036854775807ns", i64::MAX as u64),
        ] {
            assert_eq!(
                parse(text).map(|d| d.as_nanos()),
                Ok(nanos.into()),
                "{text}"
            );
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in [
            "",
            "25",
            "1d",
            "25 ms",
            "ms",
            ".s",
            "-",
            "+",
            "1s2",
            "1e3s",
            "s1",
            "1_0s",
            " 1s",
            "9223372036854775808ns",
            "99999999999999999999h",
            "-1s",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert_eq!(
            parse("-1s").unwrap_err().to_string(),
            "negative duration \"-1s\""
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(nanos in 0..i64::MAX as u64) {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }

    #[test]
    fn durations_are_written_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5\u{b5}s"),
            (300_000_000, "300ms"),
            (10_000_000_000, "10s"),
            (5_400_000_000_000, "1h30m0s"),
            (61_050_000_000, "1m1.05s"),
        ] {
            assert_eq!(format(Duration::from_nanos(nanos)), text);
        }
    }
}
