//! Events that the controller reads from the sidecar's messages match the filters that they match in
//! the sidecar.

use super::to_wire;
use http::StatusCode;
use linkerd2_proxy_api::tap::TapEvent;
use mesh_control::tap::event_from_wire;
use mesh_core::Fault;
use mesh_tap::{
    Direction, Event, EventId, EventKind, Filter, Labels, Peer, RequestInit, ResponseEnd,
    ResponseInit, Select,
};
use prost::Message as _;
use std::{collections::BTreeSet, time::Duration};

const MILLISECOND: Duration = Duration::from_millis(1);

/// An exchange as a sidecar sees it.
#[derive(Clone, Copy)]
struct Exchange {
    path: &'static str,
    route: &'static str,
    is_retry: bool,
    status: Option<u16>,
    latency: Duration,
    grpc_status: Option<u16>,
    fault: Option<Fault>,
}

const ORDINARY: Exchange = Exchange {
    path: "/books/1",
    route: "GET /books/{id}",
    is_retry: false,
    status: Some(200),
    latency: Duration::from_micros(1_500),
    grpc_status: None,
    fault: None,
};

/// Exchanges that each differ from the ordinary one in a field that filters look at.
fn exchanges() -> Vec<Exchange> {
    vec![
        ORDINARY,
        Exchange {
            status: Some(503),
            ..ORDINARY
        },
        Exchange {
            latency: Duration::from_millis(300),
            ..ORDINARY
        },
        Exchange {
            status: None,
            fault: Some(Fault::Elapsed),
            latency: Duration::from_millis(250),
            ..ORDINARY
        },
        Exchange {
            is_retry: true,
            ..ORDINARY
        },
        Exchange {
            route: "[DEFAULT]",
            path: "/authors",
            ..ORDINARY
        },
        Exchange {
            grpc_status: Some(14),
            ..ORDINARY
        },
    ]
}

impl Exchange {
    fn events(self, stream: u64) -> Vec<Event> {
        let mut route = vec![("route".to_owned(), self.route.to_owned())];
        if self.is_retry {
            route.insert(0, ("attempt".to_owned(), "2".to_owned()));
        }
        let request = EventKind::Request(RequestInit {
            scheme: Some("http".to_owned()),
            authority: "books:7002".to_owned(),
            path: self.path.to_owned(),
            ..RequestInit::default()
        });
        let response = self.status.map(|status| {
            EventKind::Response(ResponseInit {
                since_request: self.latency,
                status: StatusCode::from_u16(status).unwrap(),
                version: None,
                headers: None,
            })
        });
        let end = EventKind::End(ResponseEnd {
            since_request: self.latency + MILLISECOND,
            since_response: self.status.map(|_| MILLISECOND),
            bytes: 913,
            grpc_status: self.grpc_status,
            reason: self.fault.map(|fault| fault.as_str().into()),
            not_retried: self.fault.map(|_| "limit".into()),
            ..ResponseEnd::default()
        });
        let kinds = [Some(request), response, Some(end)].into_iter().flatten();
        let event = |kind| Event {
            id: EventId { base: 1, stream },
            direction: Direction::Outbound,
            source: peer("10.8.0.14:51234", "webapp"),
            destination: peer("10.8.0.21:7002", "books"),
            route: route.clone().into(),
            kind,
        };
        kinds.map(event).collect()
    }
}

fn peer(addr: &str, deployment: &str) -> Peer {
    let labels: Labels = [("deployment".to_owned(), deployment.to_owned())].into();
    Peer {
        addr: Some(addr.parse().unwrap()),
        labels,
    }
}

/// Sends an event as the bytes of its message.
fn send(event: Event) -> Event {
    let bytes = to_wire(event).encode_to_vec();
    event_from_wire(TapEvent::decode(bytes.as_slice()).unwrap()).unwrap()
}

/// The exchanges that pass, each with all its events.
fn selected(filter: &Filter, events: &[Event]) -> BTreeSet<u64> {
    let mut select = Select::new(filter.clone(), 100);
    let passing: Vec<_> = events
        .iter()
        .flat_map(|event| select.push(event.clone()))
        .collect();
    passing.iter().map(|event| event.id.stream).collect()
}

#[test]
fn a_filter_matches_the_same_exchanges_at_both_ends() {
    let here: Vec<_> = (0..)
        .zip(exchanges())
        .flat_map(|(stream, exchange)| exchange.events(stream))
        .collect();
    let there: Vec<_> = here.iter().cloned().map(send).collect();
    let every = Filter::new;
    let cases: [(Filter, &[u64]); 15] = [
        (every(), &[0, 1, 2, 3, 4, 5, 6]),
        (every().status(500..), &[1]),
        (every().status(..500), &[0, 2, 4, 5, 6]),
        (every().slower_than(Duration::from_millis(250)), &[2, 3]),
        (every().slower_than(Duration::from_millis(300)), &[2]),
        (every().slower_than(Duration::from_micros(1_501)), &[2, 3]),
        (every().reason(Fault::Elapsed), &[3]),
        (every().reason(Fault::Refused), &[]),
        (every().retried(), &[4]),
        (every().route("[DEFAULT]"), &[5]),
        (
            every().route("GET /books/{id}").path_prefix("/books"),
            &[0, 1, 2, 3, 4, 6],
        ),
        (every().grpc_status(14), &[6]),
        (
            every()
                .authority("books:7002")
                .method("GET")
                .status(503..=503),
            &[1],
        ),
        (
            every().destination_label("deployment", "books").retried(),
            &[4],
        ),
        (every().direction(Direction::Inbound), &[]),
    ];
    for (filter, expected) in cases {
        let expected: BTreeSet<u64> = expected.iter().copied().collect();
        assert_eq!(
            selected(&filter, &here),
            expected,
            "in the sidecar: {filter:?}"
        );
        assert_eq!(
            selected(&filter, &there),
            expected,
            "in the controller: {filter:?}"
        );
    }
}

#[test]
fn an_event_is_the_same_at_both_ends() {
    for event in exchanges().into_iter().flat_map(|it| it.events(7)) {
        let mut read = send(event.clone());
        if let EventKind::End(end) = &event.kind
            && end.reason.is_some()
        {
            // The reasons travel as labels of the route.
            let labels = read
                .route
                .iter()
                .filter(|(name, _)| !["reason", "not_retried"].contains(&name.as_str()));
            read.route = labels.cloned().collect();
        }
        assert_eq!(read, event);
    }
}
