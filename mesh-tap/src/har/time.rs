use std::time::{SystemTime, UNIX_EPOCH};

/// Formats a time as ISO 8601 (RFC 3339) in UTC with milliseconds: `2026-12-31T23:59:59.000Z`.
///
/// A time before 1970 is formatted as the beginning of 1970.
pub fn iso8601(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// The date that many days after 1970-01-01: whole cycles of 400 years first, then what of a
/// cycle is left, in years that begin in March so that the leap day is the last of its year.
fn date(days: u64) -> (u64, u64, u64) {
    const CYCLE: u64 = 146_097;
    // From 0000-03-01 to 1970-01-01.
    let days = days + 719_468;
    let (cycle, day) = (days / CYCLE, days % CYCLE);
    let leap_days = day / 1_460 - day / 36_524 + day / (CYCLE - 1);
    let year = (day - leap_days) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // 153 days are five months, from March on as from August on.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (cycle * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn instants_are_dated_as_date_does() {
        // `date -u -d @SECONDS +%FT%TZ`
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, "2000-02-28T23:59:59.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (951_868_800, "2000-03-01T00:00:00.000Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000Z"),
            (1_798_761_599, "2026-12-31T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799, "9999-12-31T23:59:59.000Z"),
        ] {
            let at = UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(iso8601(at), expected, "{seconds}");
        }
        assert_eq!(
            iso8601(UNIX_EPOCH + Duration::from_millis(1_007)),
            "1970-01-01T00:00:01.007Z"
        );
        assert_eq!(
            iso8601(UNIX_EPOCH - Duration::from_secs(9)),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for days in 1..200_000 {
            let (year, month, day) = date(days);
            let follows = [
                (before.0, before.1, before.2 + 1),
                (before.0, before.1 + 1, 1),
                (before.0 + 1, 1, 1),
            ];
            assert!(
                follows.contains(&(year, month, day)),
                "{year}-{month}-{day}"
            );
            assert!((1..=12).contains(&month) && (1..=31).contains(&day));
            before = (year, month, day);
        }
    }
}
