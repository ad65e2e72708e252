//! Pauses before retries, and the headers by which a response changes them.

use crate::retry_after;
use http::{HeaderMap, HeaderName};
use mesh_core::Backoff;
use std::time::{Duration, SystemTime};

/// Request header with the number of the attempt, from 2. Original requests do not have it.
///
/// A service that copies the header to its own calls prevents the budgets below from counting
/// them as original requests.
pub const MESH_ATTEMPT: HeaderName = HeaderName::from_static(MESH_ATTEMPT_NAME);

pub(crate) const MESH_ATTEMPT_NAME: &str = "mesh-attempt";

/// Response header which forbids further retries, as all that are allowed have been made.
///
/// Without it, each level of a call chain would retry the failures of the level below, and their
/// retry ratios would multiply.
pub const MESH_NO_RETRY: HeaderName = HeaderName::from_static("mesh-no-retry");

const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The retry instruction of a failed response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServerHint {
    /// The response has no instruction.
    None,
    /// Retry after this pause.
    Wait(Duration),
    /// Do not retry.
    Never,
}

impl ServerHint {
    /// Reads `mesh-no-retry`, `grpc-retry-pushback-ms` and `Retry-After` of headers or trailers.
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
        asked.map_or(Self::None, Self::Wait)
    }
}

/// Returns the pause before a retry: exponential in its number, and shortened by up to one half.
///
/// `chance`, from 0 to 1, is the jitter. The first retry has no pause, as most failures are of one
/// endpoint, not of all.
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

    fn hint(headers: &[(&'static str, &'static str)]) -> ServerHint {
        ServerHint::of(
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
        let wait = |ms| ServerHint::Wait(Duration::from_millis(ms));
        assert_eq!(hint(&[]), ServerHint::None);
        assert_eq!(hint(&[("retry-after", "3")]), wait(3000));
        assert_eq!(hint(&[("retry-after", "soon")]), ServerHint::None);
        assert_eq!(hint(&[("grpc-retry-pushback-ms", "250")]), wait(250));
        assert_eq!(hint(&[("grpc-retry-pushback-ms", "-1")]), ServerHint::Never);
        assert_eq!(hint(&[("grpc-retry-pushback-ms", "")]), ServerHint::Never);
        assert_eq!(
            hint(&[("mesh-no-retry", "no_budget"), ("retry-after", "1")]),
            ServerHint::Never
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
