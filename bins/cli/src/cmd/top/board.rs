//! Ranks what a tap shows. Plain data; everything in it is bounded.

use mesh_tap::Event;
use mesh_tap::{EventId, EventKind, Peer, ResponseEnd};
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

/// The most exchanges whose end is awaited; beyond it the oldest is given up. Twice what a tap at
/// its default rate shows in a minute.
const MAX_PENDING: usize = 12_000;

/// The most rows; beyond it the rarest goes. Far more than fit on a screen.
const MAX_ROWS: usize = 1_000;

/// Key of a row: requests with equal keys are counted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Subject {
    /// Source of the requests; empty if sources are merged.
    pub(super) source: String,
    /// Destination of the requests.
    pub(super) destination: String,
    /// Their method; empty if routes are shown.
    pub(super) method: String,
    /// Their path, or the name of their route.
    pub(super) path: String,
}

/// Counts and latencies of a row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) subject: Subject,
    pub(super) count: u64,
    pub(super) best: Duration,
    pub(super) worst: Duration,
    pub(super) last: Duration,
    successes: u64,
}

impl Row {
    /// Between 0 and 1.
    pub(super) fn success(&self) -> f64 {
        self.successes as f64 / self.count.max(1) as f64
    }
}

struct Pending {
    subject: Subject,
    status: Option<u16>,
}

/// All rows, and what is still going on.
pub(super) struct Board {
    pub(super) is_by_route: bool,
    pub(super) hides_sources: bool,
    pending: HashMap<EventId, Pending>,
    /// In the order they began; some are over.
    begun: VecDeque<EventId>,
    rows: Vec<Row>,
    numbers: HashMap<Subject, usize>,
}

impl Board {
    pub(super) fn new(is_by_route: bool, hides_sources: bool) -> Self {
        Self {
            is_by_route,
            hides_sources,
            pending: HashMap::new(),
            begun: VecDeque::new(),
            rows: Vec::new(),
            numbers: HashMap::new(),
        }
    }

    /// Takes in an event. An exchange counts when it is over.
    pub(super) fn feed(&mut self, event: &Event) {
        match &event.kind {
            EventKind::Request(_) => {
                let pending = Pending {
                    subject: self.subject(event),
                    status: None,
                };
                self.pending.insert(event.id, pending);
                self.begun.push_back(event.id);
                self.bound_pending();
            }
            EventKind::Response(response) => {
                if let Some(pending) = self.pending.get_mut(&event.id) {
                    pending.status = Some(response.status.as_u16());
                }
            }
            EventKind::End(end) => {
                if let Some(pending) = self.pending.remove(&event.id) {
                    let is_success = is_success(pending.status, end);
                    self.count(pending.subject, end.since_request, is_success);
                }
            }
        }
    }

    fn bound_pending(&mut self) {
        while self.begun.len() > MAX_PENDING {
            if let Some(oldest) = self.begun.pop_front() {
                self.pending.remove(&oldest);
            }
        }
    }

    fn subject(&self, event: &Event) -> Subject {
        let (method, path) = match &event.kind {
            _ if self.is_by_route => {
                let route = event.route_name().unwrap_or("[DEFAULT]");
                (String::new(), route.to_owned())
            }
            EventKind::Request(request) => (request.method.to_string(), request.path.clone()),
            _ => Default::default(),
        };
        Subject {
            source: if self.hides_sources {
                String::new()
            } else {
                name(&event.source)
            },
            destination: name(&event.destination),
            method,
            path,
        }
    }

    fn count(&mut self, subject: Subject, latency: Duration, is_success: bool) {
        let number = match self.numbers.get(&subject) {
            Some(number) => *number,
            None => {
                if self.rows.len() >= MAX_ROWS {
                    self.forget_rarest();
                }
                self.numbers.insert(subject.clone(), self.rows.len());
                self.rows.push(Row {
                    subject,
                    count: 0,
                    best: Duration::MAX,
                    worst: Duration::ZERO,
                    last: Duration::ZERO,
                    successes: 0,
                });
                self.rows.len() - 1
            }
        };
        let row = &mut self.rows[number];
        row.count += 1;
        row.successes += u64::from(is_success);
        row.best = row.best.min(latency);
        row.worst = row.worst.max(latency);
        row.last = latency;
    }

    /// Makes room for a while: a tenth of the rows goes at once.
    fn forget_rarest(&mut self) {
        let mut room = MAX_ROWS / 10;
        let mut counts: Vec<u64> = self.rows.iter().map(|row| row.count).collect();
        counts.sort_unstable();
        let rare = counts.get(room).copied().unwrap_or(0);
        self.rows.retain(|row| {
            let goes = room > 0 && row.count <= rare;
            room -= usize::from(goes);
            !goes
        });
        let rows = self.rows.iter().enumerate();
        self.numbers = rows
            .map(|(number, row)| (row.subject.clone(), number))
            .collect();
    }

    /// The rows, the busiest first; equals in the order they came up.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }
}

/// The pod if it is known, else the address without its port.
fn name(peer: &Peer) -> String {
    match (peer.label("pod"), peer.addr) {
        (Some(pod), _) => pod.to_owned(),
        (None, Some(addr)) => addr.ip().to_string(),
        (None, None) => "-".to_owned(),
    }
}

/// Unlike in the counters of a sidecar, PERMISSION_DENIED is no failure here: so it is upstream.
fn is_success(status: Option<u16>, end: &ResponseEnd) -> bool {
    let is_answered = status.is_some_and(|status| status < 500);
    let is_grpc_failure = matches!(end.grpc_status, Some(2 | 4 | 13 | 14 | 15));
    is_answered && !is_grpc_failure && end.reset_code.is_none() && end.reason.is_none()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use mesh_tap::{Direction, RequestInit, ResponseInit};

    /// The events of one exchange with `status`; 0 for none.
    pub(in super::super) fn exchange(
        stream: u64,
        path: &str,
        status: u16,
        micros: u64,
    ) -> [Event; 3] {
        let peer = |pod: &str| Peer {
            addr: Some("127.0.0.1:80".parse().unwrap()),
            labels: [("pod".to_owned(), pod.to_owned())].into(),
        };
        let event = |kind| Event {
            id: EventId { base: 0, stream },
            direction: Direction::Outbound,
            source: peer("traffic-0"),
            destination: peer("webapp-0"),
            route: [("route".to_owned(), format!("GET {path}"))].into(),
            kind,
        };
        let request = RequestInit {
            path: path.to_owned(),
            ..RequestInit::default()
        };
        let response = ResponseInit {
            since_request: Duration::ZERO,
            status: http::StatusCode::from_u16(status).unwrap_or_default(),
            version: None,
            headers: None,
        };
        let end = ResponseEnd {
            since_request: Duration::from_micros(micros),
            ..ResponseEnd::default()
        };
        [
            event(EventKind::Request(request)),
            event(EventKind::Response(response)),
            event(EventKind::End(end)),
        ]
    }

    fn feed(board: &mut Board, events: &[Event]) {
        events.iter().for_each(|event| board.feed(event));
    }

    #[test]
    fn exchanges_count_when_they_are_over() {
        let mut board = Board::new(false, false);
        feed(&mut board, &exchange(0, "/a", 200, 10)[..2]);
        assert!(board.rows().is_empty());
        feed(&mut board, &exchange(0, "/a", 200, 10)[2..]);
        feed(&mut board, &exchange(1, "/b", 200, 10));
        feed(&mut board, &exchange(2, "/b", 503, 30));
        let rows = board.rows();
        assert_eq!((&*rows[0].subject.path, rows[0].count), ("/b", 2));
        assert_eq!(rows[0].success(), 0.5);
        assert_eq!(rows[0].best, Duration::from_micros(10));
        assert_eq!(rows[0].worst, Duration::from_micros(30));
        assert_eq!(rows[1].success(), 1.0);
    }

    #[test]
    fn an_exchange_without_a_response_failed() {
        let mut board = Board::new(false, false);
        let [request, _, end] = exchange(0, "/a", 200, 10);
        feed(&mut board, &[request, end]);
        assert_eq!(board.rows()[0].success(), 0.0);
    }

    #[test]
    fn rows_can_be_of_routes_and_of_all_sources() {
        let mut board = Board::new(true, true);
        feed(&mut board, &exchange(0, "/a", 200, 10));
        let subject = &board.rows()[0].subject;
        assert_eq!((&*subject.path, &*subject.method), ("GET /a", ""));
        assert_eq!(subject.source, "");
    }

    #[test]
    fn what_never_ends_is_forgotten_and_so_is_what_is_rare() {
        let mut board = Board::new(false, false);
        for stream in 0..20_000 {
            feed(&mut board, &exchange(stream, "/a", 200, 1)[..1]);
        }
        assert_eq!(board.pending.len(), MAX_PENDING);
        for stream in 0..3 {
            feed(&mut board, &exchange(stream, "/often", 200, 1));
        }
        for stream in 0..2_000 {
            feed(&mut board, &exchange(stream, &format!("/{stream}"), 200, 1));
        }
        let rows = board.rows();
        assert!(rows.len() <= MAX_ROWS, "{}", rows.len());
        assert_eq!(rows[0].count, 3);
        assert!(board.begun.len() <= MAX_PENDING);
    }
}
