//! Exchanges as an HTTP Archive, the file that browsers' developer tools open.
//!
//! ```
//! use mesh_tap::{Event, har::Har};
//! use std::time::SystemTime;
//!
//! # fn keep(events: Vec<Event>) -> Result<String, serde_json::Error> {
//! let mut archive = Har::new(1_000);
//! for event in events {
//!     archive.add(&event, SystemTime::now());
//! }
//! serde_json::to_string(&archive)
//! # }
//! # assert!(keep(Vec::new())?.contains(r#""version":"1.2""#));
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! Headers and queries are in it if the [`Filter`](crate::Filter) asked for headers, secrets
//! replaced. Bodies are not: a tap looks into none, so a request's size is -1, unknown, and of a
//! response there is the size alone. Nor are cookies, which are secrets. What HAR has no field for
//! is in fields that begin with an underscore, which every reader has to skip: `_direction`, `_route`, `_attempt`,
//! `_reason`, `_notRetried` and `_grpcStatus`. An exchange without a response has the status 0.

mod entry;
mod time;

pub use self::time::iso8601;

use self::entry::Entry;
use crate::{Event, EventId, EventKind, RequestInit, ResponseInit};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::{collections::BTreeMap, time::SystemTime};

/// An archive of exchanges, in the order in which they ended.
#[derive(Clone, Debug)]
pub struct Har {
    capacity: usize,
    /// Exchanges that have not ended.
    open: BTreeMap<(u32, u64), Open>,
    entries: Vec<Entry>,
    dropped: u64,
}

#[derive(Clone, Debug)]
struct Open {
    request: RequestInit,
    response: Option<ResponseInit>,
}

impl Har {
    /// An archive of at most `capacity` exchanges, and as many under way: some kilobytes each.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            open: BTreeMap::new(),
            entries: Vec::new(),
            dropped: 0,
        }
    }

    /// Adds what happened; `now` is when the event was read, and dates an exchange at its end.
    ///
    /// Events of one exchange come in their order, as those of [`Events`](crate::Events) do. One
    /// whose request was never seen is left out.
    pub fn add(&mut self, event: &Event, now: SystemTime) {
        let EventId { base, stream } = event.id;
        let id = (base, stream);
        match &event.kind {
            EventKind::Request(request) => {
                if self.open.len() >= self.capacity.max(1) {
                    // The oldest: its end was lost when the ring was full, most likely.
                    self.open.pop_first();
                    self.dropped += 1;
                }
                let request = request.clone();
                let response = None;
                self.open.insert(id, Open { request, response });
            }
            EventKind::Response(response) => {
                if let Some(open) = self.open.get_mut(&id) {
                    open.response = Some(response.clone());
                }
            }
            EventKind::End(end) => match self.open.remove(&id) {
                Some(_) if self.entries.len() >= self.capacity => self.dropped += 1,
                Some(Open { request, response }) => {
                    let began = now.checked_sub(end.since_request).unwrap_or(now);
                    let response = response.as_ref();
                    let entry = Entry::new(event, &request, response, end, began);
                    self.entries.push(entry);
                }
                None => {}
            },
        }
    }

    /// Returns the number of exchanges.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns true if there are no exchanges.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Returns the number of exchanges that were dropped for lack of room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// The whole file: an object with the member `log`, of HAR 1.2.
impl Serialize for Har {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Creator {
            name: &'static str,
            version: &'static str,
        }

        #[derive(Serialize)]
        struct Log<'a> {
            version: &'static str,
            creator: Creator,
            entries: &'a [Entry],
        }

        let mut har = serializer.serialize_struct("Har", 1)?;
        let log = Log {
            version: "1.2",
            creator: Creator {
                name: env!("CARGO_PKG_NAME"),
                version: env!("CARGO_PKG_VERSION"),
            },
            entries: &self.entries,
        };
        har.serialize_field("log", &log)?;
        har.end()
    }
}
