//! The streams of one destination, each opened again whenever it ends.

use super::{Shared, backoff::Backoff};
use linkerd2_proxy_api::destination::{
    DestinationProfile, GetDestination, Update, destination_client::DestinationClient,
};
use std::{error::Error, sync::Arc};
use tokio::{sync::mpsc, time::sleep};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

type Client = DestinationClient<Channel>;

/// What happens on the streams of one destination.
pub(super) enum Event {
    Profile {
        first: bool,
        profile: Box<DestinationProfile>,
    },
    Endpoints {
        leaf: Arc<str>,
        first: bool,
        update: Update,
    },
    /// A stream that had said something is gone: that of a leaf's endpoints, or the profile's.
    Ended { leaf: Option<Arc<str>> },
}

/// Passes the profiles of `authority` on, until nobody takes them.
pub(super) async fn follow_profile(
    shared: Arc<Shared>,
    authority: Arc<str>,
    events: mpsc::Sender<Event>,
) {
    let request = shared.request(&authority);
    let open = |mut client: Client| {
        let request = request.clone();
        async move { client.get_profile(request).await }
    };
    let event = |said| match said {
        Said::Message(profile, first) => Event::Profile {
            first,
            profile: Box::new(profile),
        },
        Said::NoMore => Event::Ended { leaf: None },
    };
    follow(&shared, &authority, open, event, &events).await;
}

/// Passes the endpoints of `leaf` on, until nobody takes them.
pub(super) async fn follow_leaf(shared: Arc<Shared>, leaf: Arc<str>, events: mpsc::Sender<Event>) {
    let request = shared.request(&leaf);
    let open = |mut client: Client| {
        let request = request.clone();
        async move { client.get(request).await }
    };
    let event = |said| match said {
        Said::Message(update, first) => Event::Endpoints {
            leaf: leaf.clone(),
            first,
            update,
        },
        Said::NoMore => Event::Ended {
            leaf: Some(leaf.clone()),
        },
    };
    follow(&shared, &leaf, open, event, &events).await;
}

enum Said<T> {
    /// Whether it is the stream's first.
    Message(T, bool),
    NoMore,
}

async fn follow<T, F>(
    shared: &Shared,
    authority: &str,
    open: impl Fn(Client) -> F,
    event: impl Fn(Said<T>) -> Event,
    events: &mpsc::Sender<Event>,
) where
    F: Future<Output = Result<Response<Streaming<T>>, Status>>,
{
    let _asks = shared.connection.ask();
    let mut backoff = Backoff::new(shared.config.backoff);
    loop {
        let (generation, channel) = shared.connection.channel().await;
        let ended = match open(Client::new(channel)).await {
            Ok(response) => {
                let mut stream = response.into_inner();
                let mut first = true;
                let ended = loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            shared.connection.heard(generation);
                            let message = event(Said::Message(message, first));
                            if events.send(message).await.is_err() {
                                return;
                            }
                            first = false;
                            backoff.reset();
                        }
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                };
                if !first && events.send(event(Said::NoMore)).await.is_err() {
                    return;
                }
                ended
            }
            Err(status) => Some(status),
        };
        if let Some(status) = ended {
            if is_transport(&status) {
                // The connection has a pause of its own, for all streams together.
                shared.connection.broken(generation).await;
                continue;
            }
            tracing::debug!(authority, %status, "the controller ended a stream");
        }
        sleep(backoff.pause()).await;
    }
}

/// Whether the connection failed, and not this one stream: what a server says has no source.
pub(super) fn is_transport(status: &Status) -> bool {
    status.source().is_some() || status.code() == Code::Unavailable
}

impl Shared {
    fn request(&self, authority: &str) -> GetDestination {
        GetDestination {
            path: authority.into(),
            context_token: self.config.context_token.clone(),
            ..GetDestination::default()
        }
    }
}
