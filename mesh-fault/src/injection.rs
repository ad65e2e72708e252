use crate::{InvalidInjection, Kind, Share};
use http::{Request, StatusCode};
use mesh_core::{Head, Route};
use std::{ops::RangeInclusive, sync::Arc, time::Duration};

/// The longest delay: a request that waits keeps its memory.
pub const MAX_DELAY: Duration = Duration::from_secs(600);

/// A fault to inject: which one, into which requests, for how long.
///
/// It is for every request and without end until told otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    action: Action,
    share: Share,
    route: Option<Arc<str>>,
    duration: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Delay { min: Duration, max: Duration },
    Status(StatusCode),
    GrpcStatus(u16),
    Reset,
}

impl Injection {
    /// Delays requests by `delay`: above zero, at most [`MAX_DELAY`].
    pub fn delay(delay: Duration) -> Result<Self, InvalidInjection> {
        Self::delay_between(delay..=delay)
    }

    /// Delays requests by durations spread evenly over `range`, whose end is at most [`MAX_DELAY`].
    pub fn delay_between(range: RangeInclusive<Duration>) -> Result<Self, InvalidInjection> {
        let (min, max) = range.into_inner();
        if min > max || max.is_zero() || max > MAX_DELAY {
            return Err(InvalidInjection::delay());
        }
        Ok(Self::new(Action::Delay { min, max }))
    }

    /// Answers requests with the HTTP status `status`, from 400 to 599, and an empty body.
    pub fn status(status: StatusCode) -> Result<Self, InvalidInjection> {
        if !status.is_client_error() && !status.is_server_error() {
            return Err(InvalidInjection::status());
        }
        Ok(Self::new(Action::Status(status)))
    }

    /// Answers gRPC calls with the status `code`, from 1 to 16; other requests pass.
    pub fn grpc_status(code: u16) -> Result<Self, InvalidInjection> {
        if !(1..=16).contains(&code) {
            return Err(InvalidInjection::grpc_status());
        }
        Ok(Self::new(Action::GrpcStatus(code)))
    }

    /// Fails requests with [`InjectedReset`](crate::InjectedReset).
    pub fn reset() -> Self {
        Self::new(Action::Reset)
    }

    fn new(action: Action) -> Self {
        Self {
            action,
            share: Share::ALL,
            route: None,
            duration: None,
        }
    }

    /// Injects into this share of the requests.
    #[must_use]
    pub fn with_share(mut self, share: Share) -> Self {
        self.share = share;
        self
    }

    /// Injects only into requests whose [`Route`] has this name.
    ///
    /// [`Route::DEFAULT_NAME`] also matches requests without a route.
    #[must_use]
    pub fn with_route(mut self, name: impl Into<Arc<str>>) -> Self {
        self.route = Some(name.into());
        self
    }

    /// Ends by itself `duration` after it is added; must be above zero.
    pub fn with_duration(mut self, duration: Duration) -> Result<Self, InvalidInjection> {
        if duration.is_zero() {
            return Err(InvalidInjection::duration());
        }
        self.duration = Some(duration);
        Ok(self)
    }

    /// The kind of fault.
    pub fn kind(&self) -> Kind {
        match self.action {
            Action::Delay { .. } => Kind::Delay,
            Action::Status(_) => Kind::Status,
            Action::GrpcStatus(_) => Kind::GrpcStatus,
            Action::Reset => Kind::Reset,
        }
    }

    /// The share of the requests.
    pub fn share(&self) -> Share {
        self.share
    }

    /// The name of the route, if it is for one alone.
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// The time after which it ends by itself.
    pub fn duration(&self) -> Option<Duration> {
        self.duration
    }

    /// The range of delays, of a delay.
    pub fn delays(&self) -> Option<RangeInclusive<Duration>> {
        match self.action {
            Action::Delay { min, max } => Some(min..=max),
            _ => None,
        }
    }

    /// The HTTP status, of an error that is one.
    pub fn http_status(&self) -> Option<StatusCode> {
        match self.action {
            Action::Status(status) => Some(status),
            _ => None,
        }
    }

    /// The gRPC status, of an error that is one.
    pub fn grpc_code(&self) -> Option<u16> {
        match self.action {
            Action::GrpcStatus(code) => Some(code),
            _ => None,
        }
    }

    pub(crate) fn action(&self) -> Action {
        self.action
    }

    /// Returns true if `req` is one of the requests that the share is counted of.
    pub(crate) fn matches<B>(&self, req: &Request<B>) -> bool {
        let route = self.route.as_deref().is_none_or(|name| {
            let route = Route::of(req).map_or(Route::DEFAULT_NAME, Route::name);
            route == name
        });
        route && (!matches!(self.action, Action::GrpcStatus(_)) || Head::is_grpc(req))
    }
}

/// A delay from `min` to `max` for the n-th request.
///
/// Multiples of the golden ratio fall evenly into a range of any size, for any number of requests.
pub(crate) fn spread(min: Duration, max: Duration, n: u64) -> Duration {
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let point = n.wrapping_mul(GOLDEN);
    let range = (max - min).as_nanos() as u64;
    min + Duration::from_nanos(((u128::from(point) * u128::from(range)) >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn what_cannot_be_injected_is_refused() {
        let refused = [
            Injection::delay(Duration::ZERO),
            Injection::delay(MAX_DELAY + MS),
            Injection::delay_between(2 * MS..=MS),
            Injection::status(StatusCode::OK),
            Injection::status(StatusCode::FOUND),
            Injection::grpc_status(0),
            Injection::grpc_status(17),
            Injection::reset().with_duration(Duration::ZERO),
        ];
        for refused in refused {
            let error = refused.unwrap_err().to_string();
            assert!(error.contains("must be"), "{error}");
        }
    }

    #[test]
    fn delays_are_spread_evenly_over_their_range() {
        let (min, max) = (200 * MS, 2_000 * MS);
        for n in [10_u32, 100, 1_000] {
            let delays: Vec<_> = (0..n).map(|n| spread(min, max, n.into())).collect();
            assert!(delays.iter().all(|delay| (min..=max).contains(delay)));
            let mean = delays.iter().sum::<Duration>() / n;
            assert!(mean.abs_diff(1_100 * MS) < 1_800 * MS / n * 5, "{mean:?}");
        }
        assert_eq!(spread(min, min, 7), min);
    }
}
