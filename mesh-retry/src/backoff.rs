//! How long to wait before a retry, and what a failed response asks of it.

use crate::retry_after;
use http::{HeaderMap, HeaderName};
use mesh_core::Backoff;
use std::time::{Duration, SystemTime};

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
        let asked = retry_after::pause(headers, SystemTime::now);
        asked.map_or(Self::Nothing, Self::Wait)
    }
}

/// The pause before the retry of this number, between half and all of its exponential length;
/// `chance` from 0 to 1 says where.
///
/// None before the first: the attempt that failed took its time already, and most failures are
/// of one endpoint, not of all.
pub(crate) fn pause(backoff: Backoff, retry: u32, chance: f64) -> Duration {
    if retry <= 1 {
        return Duration::ZERO;
    }
    let factor = 1_u32.checked_shl(retry - 2).unwrap_or(u32::MAX);
    let most = backoff.min.saturating_mul(factor).min(backoff.max);
    let half = most / 2;
    half + half.mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
    fn the_pause_doubles_up_to_its_maximum_with_jitter() {
        let backoff = Backoff {
            min: Duration::from_millis(20),
            max: Duration::from_millis(100),
        };
        for (retry, most) in [(1, 0), (2, 20), (3, 40), (4, 80), (5, 100), (u32::MAX, 100)] {
            let most = Duration::from_millis(most);
            assert_eq!(pause(backoff, retry, 1.0), most, "retry {retry}");
            assert_eq!(pause(backoff, retry, 0.0), most / 2, "retry {retry}");
        }
    }
}
