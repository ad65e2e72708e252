//! Exchanges of a tap, kept for its export.

use super::exchange::{Exchange, row};
use anyhow::Result;
use mesh_tap::{Event, EventKind, har::Har};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
    time::SystemTime,
};

/// The most taps that are kept for export; beyond it the oldest is forgotten.
const MAX_SESSIONS: usize = 4;
/// The most bytes of events that a tap keeps; beyond it the oldest are forgotten.
const MAX_BYTES: usize = 4 << 20;
/// The most exchanges whose end is awaited; beyond it the oldest is given up.
const MAX_OPEN: usize = 1_000;

/// The last taps.
#[derive(Default)]
pub(in crate::http::dashboard) struct Sessions {
    last: u64,
    kept: VecDeque<(u64, Arc<Mutex<Session>>)>,
}

impl Sessions {
    /// Keeps a tap, and returns its number.
    pub(super) fn add(&mut self, session: Arc<Mutex<Session>>) -> u64 {
        self.last += 1;
        self.kept.push_back((self.last, session));
        while self.kept.len() > MAX_SESSIONS {
            self.kept.pop_front();
        }
        self.last
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Mutex<Session>>> {
        let (_, session) = self.kept.iter().find(|(known, _)| *known == id)?;
        Some(session.clone())
    }
}

/// One tap.
#[derive(Default)]
pub(super) struct Session {
    open: BTreeMap<(u32, u64), Exchange>,
    /// The events as lines of JSON, and when they came.
    lines: VecDeque<(SystemTime, String)>,
    bytes: usize,
}

impl Session {
    /// Takes in an event; returns the row of an exchange that is over.
    pub(super) fn add(&mut self, event: &Event, now: SystemTime) -> Option<String> {
        if let Ok(line) = serde_json::to_string(event) {
            self.bytes += line.len();
            self.lines.push_back((now, line));
        }
        while self.bytes > MAX_BYTES {
            let (_, oldest) = self.lines.pop_front()?;
            self.bytes -= oldest.len();
        }
        let id = (event.id.base, event.id.stream);
        match &event.kind {
            EventKind::Request(request) => {
                if self.open.len() >= MAX_OPEN {
                    self.open.pop_first();
                }
                self.open.insert(id, Exchange::new(request.clone()));
                None
            }
            EventKind::Response(response) => {
                if let Some(exchange) = self.open.get_mut(&id) {
                    exchange.response = Some(response.clone());
                }
                None
            }
            EventKind::End(end) => {
                let exchange = self.open.remove(&id)?;
                Some(row(event, &exchange, end, now).into_string())
            }
        }
    }

    /// All events, one object a line.
    pub(super) fn ndjson(&self) -> String {
        let lines = self.lines.iter();
        lines.map(|(_, line)| format!("{line}\n")).collect()
    }

    /// All exchanges as an HTTP Archive.
    pub(super) fn har(&self) -> Result<String> {
        let mut har = Har::new(self.lines.len());
        for (at, line) in &self.lines {
            har.add(&serde_json::from_str(line)?, *at);
        }
        Ok(serde_json::to_string(&har)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};
    use mesh_tap::{Direction, EventId, Labels, Peer, RequestInit, ResponseEnd, ResponseInit};
    use std::time::Duration;

    fn event(stream: u64, kind: EventKind) -> Event {
        let route = [("route".to_owned(), "<b>route</b>".to_owned())];
        Event {
            id: EventId { base: 1, stream },
            direction: Direction::Outbound,
            source: Peer::default(),
            destination: Peer::default(),
            route: Labels::from(route),
            kind,
        }
    }

    fn exchange(stream: u64) -> [Event; 3] {
        let mut headers = HeaderMap::new();
        let hostile = HeaderValue::from_bytes(b"<script>\xff").unwrap();
        headers.insert("x-hostile", hostile);
        let request = RequestInit {
            authority: "books:7002".into(),
            path: "/<img src=x>".into(),
            headers: Some(headers),
            ..RequestInit::default()
        };
        let response = ResponseInit {
            since_request: Duration::from_millis(12),
            status: StatusCode::SERVICE_UNAVAILABLE,
            version: None,
            headers: None,
        };
        let end = ResponseEnd {
            reason: Some("<i>reset</i>".into()),
            ..ResponseEnd::default()
        };
        [
            event(stream, EventKind::Request(request)),
            event(stream, EventKind::Response(response)),
            event(stream, EventKind::End(end)),
        ]
    }

    #[test]
    fn an_exchange_is_a_row_when_it_is_over_and_all_of_it_is_text() {
        let mut session = Session::default();
        let [request, response, end] = exchange(1);
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(session.add(&request, now), None);
        assert_eq!(session.add(&response, now), None);
        let row = session.add(&end, now).unwrap();
        for part in [
            "503",
            "12 ms",
            "failing",
            "x-hostile",
            "&lt;img",
            "&lt;script&gt;",
        ] {
            assert!(row.contains(part), "{part}: {row}");
        }
        for part in ["<img", "<script", "<b>", "<i>"] {
            assert!(!row.contains(part), "{part}: {row}");
        }
        assert_eq!(session.ndjson().lines().count(), 3);
        let har: serde_json::Value = serde_json::from_str(&session.har().unwrap()).unwrap();
        assert_eq!(har["log"]["entries"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut session = Session::default();
        for stream in 0..20_000 {
            let [request, ..] = exchange(stream);
            session.add(&request, SystemTime::UNIX_EPOCH);
        }
        assert!(session.bytes <= MAX_BYTES);
        assert_eq!(session.open.len(), MAX_OPEN);
        let mut sessions = Sessions::default();
        for number in 1..=5 {
            assert_eq!(sessions.add(Arc::default()), number);
        }
        assert!(sessions.find(1).is_none() && sessions.find(5).is_some());
    }
}
