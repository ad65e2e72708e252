use http::{HeaderMap, HeaderName, HeaderValue, Request};
use std::time::{Duration, Instant};

/// gRPC's header: the time left for the whole call.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The mesh's header: the time left until the response head, in the grammar of `grpc-timeout`.
///
/// Time left rather than a time of day, because clocks of two machines need not agree.
pub const MESH_DEADLINE: HeaderName = HeaderName::from_static("mesh-deadline");

/// When the caller of a request stops waiting.
///
/// Travels in the request's extensions. [`AcceptDeadlineLayer`] puts it there,
/// [`TimeoutLayer`] and [`BodyTimeoutLayer`] obey it, [`PropagateDeadlineLayer`] passes on what
/// is left of it. A program that calls others on behalf of a request copies it by hand:
///
/// ```
/// # use http::Request;
/// # use mesh_timeout::Deadline;
/// fn onward<B>(came_in: &Request<B>) -> Request<()> {
///     let mut req = Request::new(());
///     if let Some(deadline) = Deadline::of(came_in) {
///         req.extensions_mut().insert(*deadline);
///     }
///     req
/// }
/// # onward(&Request::new(()));
/// ```
///
/// [`AcceptDeadlineLayer`]: crate::AcceptDeadlineLayer
/// [`PropagateDeadlineLayer`]: crate::PropagateDeadlineLayer
/// [`TimeoutLayer`]: crate::TimeoutLayer
/// [`BodyTimeoutLayer`]: crate::BodyTimeoutLayer
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadline {
    head: Option<Instant>,
    exchange: Option<Instant>,
}

impl Deadline {
    /// The deadline that `req` carries in its extensions.
    pub fn of<B>(req: &Request<B>) -> Option<&Self> {
        req.extensions().get::<Self>()
    }

    /// The deadline that `grpc-timeout` and `mesh-deadline` state, counted from `now`.
    ///
    /// A value that is not in the grammar is ignored, as if the header were absent.
    pub fn from_headers(headers: &HeaderMap, now: Instant) -> Option<Self> {
        let at = |name: &HeaderName| {
            let left = parse_timeout(headers.get(name)?.to_str().ok()?)?;
            now.checked_add(left)
        };
        let deadline = Self {
            head: at(&MESH_DEADLINE),
            exchange: at(&GRPC_TIMEOUT),
        };
        (deadline != Self::default()).then_some(deadline)
    }

    /// The response head is worth nothing after `at`.
    #[must_use]
    pub fn with_head(mut self, at: Instant) -> Self {
        self.head = Some(at);
        self
    }

    /// Nothing of the response is worth anything after `at`.
    #[must_use]
    pub fn with_exchange(mut self, at: Instant) -> Self {
        self.exchange = Some(at);
        self
    }

    /// When the response head must be there: the earlier of the two.
    pub fn head(&self) -> Option<Instant> {
        match (self.head, self.exchange) {
            (Some(head), Some(exchange)) => Some(head.min(exchange)),
            (head, exchange) => head.or(exchange),
        }
    }

    /// When the whole response must have ended.
    pub fn exchange(&self) -> Option<Instant> {
        self.exchange
    }

    /// Returns true if the caller has stopped waiting for the response.
    pub fn has_passed(&self, now: Instant) -> bool {
        self.head().is_some_and(|at| at <= now)
    }
}

/// Reads the value of `grpc-timeout`: one to eight digits and a unit of `H M S m u n`.
pub fn parse_timeout(value: &str) -> Option<Duration> {
    let unit = value.chars().last()?;
    let digits = &value[..value.len() - unit.len_utf8()];
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let n: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(n * 3600),
        'M' => Duration::from_secs(n * 60),
        'S' => Duration::from_secs(n),
        'm' => Duration::from_millis(n),
        'u' => Duration::from_micros(n),
        'n' => Duration::from_nanos(n),
        _ => return None,
    })
}

/// Writes `left` in the grammar of `grpc-timeout`, in the finest unit that eight digits hold.
///
/// Rounds down: the next hop must not believe that it has more time than there is.
pub fn format_timeout(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let nanos = left.as_nanos();
    let units = [
        (1, 'n'),
        (1_000, 'u'),
        (1_000_000, 'm'),
        (1_000_000_000, 'S'),
        (60_000_000_000, 'M'),
        (3_600_000_000_000, 'H'),
    ];
    let text = units
        .into_iter()
        .map(|(size, unit)| (nanos / size, unit))
        .find(|(n, _)| *n <= MOST)
        .map_or_else(|| format!("{MOST}H"), |(n, unit)| format!("{n}{unit}"));
    HeaderValue::try_from(text).expect("digits and a letter are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_grammar_is_that_of_grpc() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("100m", Some(Duration::from_millis(100))),
            ("00000007u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("123456789n", None),
            ("m", None),
            ("", None),
            ("-1m", None),
            ("+1m", None),
            ("1.5S", None),
            ("1s", None),
            ("1 m", None),
            ("5é", None),
        ] {
            assert_eq!(parse_timeout(text), expected, "{text:?}");
        }
    }

    #[test]
    fn the_head_is_due_at_the_earlier_of_the_two_headers() {
        let now = tokio::time::Instant::now().into_std();
        let mut headers = HeaderMap::new();
        assert_eq!(Deadline::from_headers(&headers, now), None);
        headers.insert(MESH_DEADLINE, HeaderValue::from_static("nonsense"));
        assert_eq!(Deadline::from_headers(&headers, now), None);

        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("2S"));
        headers.insert(MESH_DEADLINE, HeaderValue::from_static("500m"));
        let deadline = Deadline::from_headers(&headers, now).unwrap();
        assert_eq!(deadline.head(), Some(now + Duration::from_millis(500)));
        assert_eq!(deadline.exchange(), Some(now + Duration::from_secs(2)));
        assert!(!deadline.has_passed(now));
        assert!(deadline.has_passed(now + Duration::from_millis(500)));
    }

    proptest! {
        #[test]
        fn what_is_written_is_never_later_and_loses_less_than_a_millionth(nanos in any::<u64>()) {
            let left = Duration::from_nanos(nanos);
            let header = format_timeout(left);
            let read = parse_timeout(header.to_str().unwrap()).unwrap();
            prop_assert!(read <= left);
            prop_assert!((left - read).as_nanos() <= left.as_nanos() / 100_000);
        }

        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            parse_timeout(&text);
        }
    }
}
