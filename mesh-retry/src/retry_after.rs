//! `Retry-After` (RFC 9110, 10.2.3).

use http::{HeaderMap, HeaderValue, header};
use std::time::{Duration, SystemTime};

/// The pause that `Retry-After` asks for, in seconds or until a date in any of the three forms of
/// RFC 9110, 5.6.7.
///
/// A date counts from the response's own `Date`, so that the two clocks need not agree; without a
/// valid one, from the time that `clock` tells. A date in the past asks for no pause.
pub(crate) fn pause(headers: &HeaderMap, clock: impl FnOnce() -> SystemTime) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?;
    if let Some(seconds) = value.to_str().ok().and_then(|text| text.parse().ok()) {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(value)?;
    let from = headers
        .get(header::DATE)
        .and_then(date)
        .unwrap_or_else(clock);
    Some(until.duration_since(from).unwrap_or_default())
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::UNIX_EPOCH;

    /// 28 February 2024, 23:59:50.
    const NOW: Duration = Duration::from_secs(1_709_164_790);

    fn asked(value: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        if let Some(date) = date {
            headers.insert("date", date.parse().unwrap());
        }
        pause(&headers, || UNIX_EPOCH + NOW)
    }

    #[test]
    fn seconds_are_taken_as_they_are() {
        assert_eq!(asked("3", None), Some(Duration::from_secs(3)));
        assert_eq!(asked("soon", None), None);
        assert_eq!(asked("-1", None), None);
        assert_eq!(pause(&HeaderMap::new(), SystemTime::now), None);
    }

    #[test]
    fn a_date_in_any_form_counts_from_the_clock_without_a_date_of_the_response() {
        for date in [
            "Fri, 01 Mar 2024 00:00:10 GMT",
            "Friday, 01-Mar-24 00:00:10 GMT",
            "Fri Mar  1 00:00:10 2024",
        ] {
            let expected = Some(Duration::from_secs(86_400 + 20));
            assert_eq!(asked(date, None), expected, "{date}");
            assert_eq!(asked(date, Some("nonsense")), expected, "{date}");
        }
        assert_eq!(
            asked("Sat, 01 Jan 2000 00:00:00 GMT", None),
            Some(Duration::ZERO)
        );
        assert_eq!(asked("Sat, 01 Foo 2000 00:00:00 GMT", None), None);
    }

    #[test]
    fn a_date_counts_from_that_of_the_response() {
        let day = Some("Sat, 01 Jan 2000 00:00:00 GMT");
        assert_eq!(
            asked("Sat, 01 Jan 2000 00:00:07 GMT", day),
            Some(Duration::from_secs(7))
        );
        assert_eq!(
            asked("Fri, 31 Dec 1999 00:00:00 GMT", day),
            Some(Duration::ZERO)
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in "[A-Z][a-z]{2}[a-z]*,? [0-9]{1,20}[ -](Jan|Feb|Dec)[ -][0-9]{1,20} [0-9:]{1,20}( GMT)?|[ -~]{0,40}") {
            asked(&text, Some(&text));
        }
    }
}
