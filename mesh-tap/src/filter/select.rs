use super::Filter;
use crate::{Event, EventId, EventKind, event::label, filter::Facts};
use std::collections::BTreeMap;

/// Selects exchanges in a stream of events, for taps that cannot filter by themselves.
///
/// Events of an exchange are held back until the filter has decided, then pass together and in
/// order. An exchange whose request was never seen does not pass.
///
/// ```
/// use mesh_tap::{Event, Filter, Select};
///
/// # fn show(events: impl Iterator<Item = Event>) {
/// // Only what failed; at most 1,000 exchanges are under way at a time.
/// let mut failed = Select::new(Filter::new().status(500..), 1_000);
/// for event in events.flat_map(|event| failed.push(event)) {
///     println!("{event}");
/// }
/// # }
/// # show(std::iter::empty());
/// ```
#[derive(Clone, Debug)]
pub struct Select {
    filter: Filter,
    capacity: usize,
    open: BTreeMap<(u32, u64), Open>,
}

/// An exchange that is not over.
#[derive(Clone, Debug)]
struct Open {
    /// The request and, if it has come, the response.
    events: Vec<Event>,
    is_selected: bool,
}

impl Select {
    /// Selects by `filter`, with at most `capacity` exchanges under way; beyond that the oldest
    /// is left out.
    pub fn new(filter: Filter, capacity: usize) -> Self {
        Self {
            filter,
            capacity: capacity.max(1),
            open: BTreeMap::new(),
        }
    }

    /// Takes the next event and returns the events that pass now: at most three.
    pub fn push(&mut self, event: Event) -> Vec<Event> {
        let EventId { base, stream } = event.id;
        let id = (base, stream);
        let is_end = matches!(event.kind, EventKind::End(_));
        let mut open = match (&event.kind, self.open.remove(&id)) {
            (EventKind::Request(_), _) => Open {
                events: Vec::with_capacity(3),
                is_selected: false,
            },
            (_, Some(open)) => open,
            (_, None) => return Vec::new(),
        };
        if open.is_selected {
            if !is_end {
                self.open.insert(id, open);
            }
            return vec![event];
        }
        open.events.push(event);
        let passing = match self.decide(&open.events) {
            Some(true) => {
                open.is_selected = true;
                std::mem::take(&mut open.events)
            }
            Some(false) => return Vec::new(),
            None => Vec::new(),
        };
        if !is_end {
            if self.open.len() >= self.capacity {
                self.open.pop_first();
            }
            self.open.insert(id, open);
        }
        passing
    }

    /// Returns whether the filter holds for an exchange, if its events so far tell.
    fn decide(&self, events: &[Event]) -> Option<bool> {
        let last = events.last()?;
        let (mut request, mut response, mut end) = (None, None, None);
        for event in events {
            match &event.kind {
                EventKind::Request(init) => request = Some(init),
                EventKind::Response(init) => {
                    response = Some((init.status.as_u16(), init.since_request));
                }
                EventKind::End(over) => end = Some(over),
            }
        }
        let is_retry = |event: &Event| label(&event.route, "attempt").is_some();
        self.filter.holds(&Facts {
            direction: last.direction,
            source: &last.source,
            destination: &last.destination,
            route: &last.route,
            request: request?,
            retried: events.iter().any(is_retry).then_some(true),
            response,
            end,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Direction, Peer, RequestInit, ResponseEnd, ResponseInit};
    use http::StatusCode;
    use std::time::Duration;

    fn event(stream: u64, kind: EventKind) -> Event {
        Event {
            id: EventId { base: 1, stream },
            direction: Direction::Outbound,
            source: Peer::default(),
            destination: Peer::default(),
            route: [("route".to_owned(), "GET /".to_owned())].into(),
            kind,
        }
    }

    fn exchange(stream: u64, status: Option<u16>, millis: u64, reason: &str) -> Vec<Event> {
        let since_request = Duration::from_millis(millis);
        let response = status.map(|status| {
            EventKind::Response(ResponseInit {
                since_request,
                status: StatusCode::from_u16(status).unwrap(),
                version: None,
                headers: None,
            })
        });
        let end = EventKind::End(ResponseEnd {
            since_request,
            reason: (!reason.is_empty()).then(|| reason.to_owned().into()),
            ..ResponseEnd::default()
        });
        let request = EventKind::Request(RequestInit::default());
        let kinds = [Some(request), response, Some(end)].into_iter().flatten();
        kinds.map(|kind| event(stream, kind)).collect()
    }

    /// Numbers of the events that pass at each event that comes.
    fn passing(filter: Filter, events: Vec<Event>) -> Vec<usize> {
        let mut select = Select::new(filter, 10);
        let counts = events.into_iter().map(|event| select.push(event).len());
        let counts = counts.collect();
        assert!(select.open.is_empty(), "{select:?}");
        counts
    }

    #[test]
    fn events_are_held_back_until_the_filter_decides() {
        let failed = || exchange(1, Some(503), 20, "");
        assert_eq!(passing(Filter::new(), failed()), [1, 1, 1]);
        assert_eq!(passing(Filter::new().status(500..600), failed()), [0, 2, 1]);
        assert_eq!(passing(Filter::new().status(200..300), failed()), [0, 0, 0]);
        let slow = Filter::new().slower_than(Duration::from_millis(10));
        assert_eq!(passing(slow.clone(), failed()), [0, 2, 1]);
        assert_eq!(passing(slow, exchange(1, None, 20, "timeout")), [0, 2]);
        let reason = Filter::new().reason(crate::Fault::Elapsed);
        let word = crate::Fault::Elapsed.as_str();
        assert_eq!(passing(reason.clone(), exchange(1, None, 5, word)), [0, 2]);
        assert_eq!(passing(reason, failed()), [0, 0, 0]);
        assert_eq!(passing(Filter::new().route("GET /"), failed()), [1, 1, 1]);
        assert_eq!(passing(Filter::new().route("other"), failed()), [0, 0, 0]);
        assert_eq!(passing(Filter::new().retried(), failed()), [0, 0, 0]);
        let mut retry = failed();
        for event in &mut retry {
            event.route = [("attempt".to_owned(), "2".to_owned())].into();
        }
        assert_eq!(passing(Filter::new().retried(), retry), [1, 1, 1]);
    }

    #[test]
    fn exchanges_under_way_are_bounded_and_a_lost_request_does_not_pass() {
        let mut select = Select::new(Filter::new().status(500..), 2);
        for stream in 0..5 {
            let request = exchange(stream, Some(500), 1, "").remove(0);
            assert!(select.push(request).is_empty());
        }
        assert_eq!(select.open.len(), 2);
        let response = |stream| exchange(stream, Some(500), 1, "").remove(1);
        assert!(select.push(response(0)).is_empty());
        assert_eq!(select.push(response(4)).len(), 2);
    }
}
