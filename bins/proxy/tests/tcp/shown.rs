//! The events of a tap, in short.

use crate::support::Running;
use linkerd2_proxy_api::tap::{
    ObserveRequest, TapEvent, observe_request,
    tap_client::TapClient,
    tap_event::{Event, http::Event as Kind},
};
use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};
use tonic::{Streaming, transport::Endpoint};

/// A tap of everything.
pub(super) struct Watched(Streaming<TapEvent>);

/// One event.
pub(super) struct Shown {
    /// The authority, the status, or the number of bytes.
    pub(super) text: String,
    /// Labels of the destination.
    pub(super) labels: HashMap<String, String>,
    pub(super) destination: SocketAddr,
}

impl Watched {
    /// Watches `limit` exchanges.
    pub(super) async fn start(proxy: &Running, limit: u32) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{}", proxy.admin())).unwrap();
        let channel = endpoint.connect().await.unwrap();
        let all = observe_request::r#match::Match::All(observe_request::r#match::Seq::default());
        let request = ObserveRequest {
            limit,
            r#match: Some(observe_request::Match { r#match: Some(all) }),
            extract: None,
        };
        let events = TapClient::new(channel).observe(request).await.unwrap();
        Self(events.into_inner())
    }

    pub(super) async fn next(&mut self) -> Shown {
        let event = self.0.message().await.unwrap().expect("an event");
        assert!(event.source.is_some());
        let destination = event.destination.unwrap();
        let ip = IpAddr::try_from(destination.ip.unwrap()).unwrap();
        let Some(Event::Http(http)) = event.event else {
            panic!("no exchange");
        };
        Shown {
            text: match http.event.unwrap() {
                Kind::RequestInit(init) => init.authority,
                Kind::ResponseInit(init) => init.http_status.to_string(),
                Kind::ResponseEnd(end) => format!("{} bytes", end.response_bytes),
            },
            labels: event.destination_meta.unwrap().labels,
            destination: SocketAddr::new(ip, destination.port.try_into().unwrap()),
        }
    }
}
