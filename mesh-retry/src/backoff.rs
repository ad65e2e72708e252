//! How long to wait before a retry, and what a failed response asks of it.

use http::{HeaderMap, HeaderName, header};
use mesh_core::Backoff;
use std::{
    cell::Cell,
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// On a request: which sending of it this is. Absent from an original request.
///
/// A service that is called by a retry, and passes the header on to those it calls, keeps its
/// own calls from being counted as originals by their budgets.
pub const MESH_ATTEMPT: HeaderName = HeaderName::from_static(MESH_ATTEMPT_NAME);

pub(crate) const MESH_ATTEMPT_NAME: &str = "mesh-attempt";

/// On a response: it has been retried as often as was allowed, so its callers must not retry.
///
/// Without it, each level of a call chain would retry the failures of the last one, and their
/// ratios would multiply.
pub const MESH_NO_RETRY: HeaderName = HeaderName::from_static("mesh-no-retry");

const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// What a failed response says about trying again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Nothing,
    Wait(Duration),
    Never,
}

impl Ask {
    /// What `headers`, or trailers, ask for.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        if headers.contains_key(MESH_NO_RETRY) {
            return Self::Never;
        }
        if let Some(value) = headers.get(GRPC_PUSHBACK) {
            // gRFC A6: a value that is negative, or none at all, says not to retry.
            let millis = value.to_str().ok().and_then(|text| text.parse().ok());
            return millis.map_or(Self::Never, |ms| Self::Wait(Duration::from_millis(ms)));
        }
        retry_after(headers).map_or(Self::Nothing, Self::Wait)
    }
}

/// RFC 9110, 10.2.3: seconds, or a date. A date counts from the response's own `Date`, so that
/// two clocks need not agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name)?.to_str().ok();
    let value = text(header::RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let (then, now) = (date(value)?, date(text(header::DATE)?)?);
    Some(Duration::from_secs(then.saturating_sub(now)))
}

/// Seconds since some moment, of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`: the one form
/// that RFC 9110 lets anybody send.
fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.strip_suffix(" GMT")?.split(' ');
    let day: u64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as u64;
    let year: u64 = parts.next()?.parse().ok()?;
    let mut time = parts.next()?.splitn(3, ':');
    let mut unit = || time.next()?.parse::<u64>().ok();
    let (hours, minutes, seconds) = (unit()?, unit()?, unit()?);
    if !(1..=31).contains(&day) || !(1..=9999).contains(&year) || hours > 23 || minutes > 59 {
        return None;
    }
    // Days since 1 March of year 0: with February last, its length matters to no other month.
    let month = (month + 10) % 12;
    let year = year - u64::from(month >= 10);
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    Some(days * 86_400 + hours * 3_600 + minutes * 60 + seconds.min(60))
}

/// The pause before the retry of this number, between half and all of its exponential length.
///
/// None before the first: the attempt that failed took its time already, and most failures are
/// of one endpoint, not of all.
pub(crate) fn pause(backoff: Backoff, retry: u32, random: u64) -> Duration {
    if retry <= 1 {
        return Duration::ZERO;
    }
    let factor = 1_u32.checked_shl(retry - 2).unwrap_or(u32::MAX);
    let most = backoff.min.saturating_mul(factor).min(backoff.max);
    let half = most / 2;
    // 32 bits of chance are plenty for a pause.
    let share = (random >> 32) as f64 / f64::from(u32::MAX);
    half + half.mul_f64(share)
}

/// A number nobody can use to predict another client's; not for secrets.
pub(crate) fn random() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
    }
    // SplitMix64.
    let state = STATE.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
    STATE.set(state);
    let mix = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mix = (mix ^ (mix >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mix ^ (mix >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn ask(headers: &[(&'static str, &'static str)]) -> Ask {
        Ask::of(
            &headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect(),
        )
    }

    #[test]
    fn a_response_may_ask_to_wait_or_not_to_retry() {
        let wait = |ms| Ask::Wait(Duration::from_millis(ms));
        assert_eq!(ask(&[]), Ask::Nothing);
        assert_eq!(ask(&[("retry-after", "3")]), wait(3000));
        assert_eq!(ask(&[("retry-after", "soon")]), Ask::Nothing);
        assert_eq!(ask(&[("grpc-retry-pushback-ms", "250")]), wait(250));
        assert_eq!(ask(&[("grpc-retry-pushback-ms", "-1")]), Ask::Never);
        assert_eq!(ask(&[("grpc-retry-pushback-ms", "")]), Ask::Never);
        assert_eq!(
            ask(&[("mesh-no-retry", "no_budget"), ("retry-after", "1")]),
            Ask::Never
        );
    }

    #[test]
    fn a_date_counts_from_the_date_of_the_response() {
        let after = |then, now| ask(&[("retry-after", then), ("date", now)]);
        assert_eq!(
            after(
                "Fri, 01 Mar 2024 00:00:10 GMT",
                "Wed, 28 Feb 2024 23:59:50 GMT"
            ),
            Ask::Wait(Duration::from_secs(86_400 + 20))
        );
        assert_eq!(
            after(
                "Sat, 01 Jan 2000 00:00:00 GMT",
                "Sun, 02 Jan 2000 00:00:00 GMT"
            ),
            Ask::Wait(Duration::ZERO)
        );
        assert_eq!(
            after("Sat, 01 Foo 2000 00:00:00 GMT", "nonsense"),
            Ask::Nothing
        );
        assert_eq!(
            ask(&[("retry-after", "Sat, 01 Jan 2000 00:00:00 GMT")]),
            Ask::Nothing
        );
    }

    #[test]
    fn the_pause_doubles_up_to_its_maximum_with_jitter() {
        let backoff = Backoff {
            min: Duration::from_millis(20),
            max: Duration::from_millis(100),
        };
        for (retry, most) in [(1, 0), (2, 20), (3, 40), (4, 80), (5, 100), (u32::MAX, 100)] {
            let most = Duration::from_millis(most);
            assert_eq!(pause(backoff, retry, u64::MAX), most, "retry {retry}");
            assert_eq!(pause(backoff, retry, 0), most / 2, "retry {retry}");
        }
        assert_ne!(random(), random());
    }

    proptest! {
        #[test]
        fn any_date_is_read_without_panic(text in "[A-Z][a-z]{2}, [0-9]{1,20} (Jan|Feb|Dec) [0-9]{1,20} [0-9:]{1,20} GMT") {
            date(&text);
        }
    }
}
