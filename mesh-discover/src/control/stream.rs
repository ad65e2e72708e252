//! The streams of one destination, each opened again whenever it ends.

use super::{Shared, backoff::Backoff};
use linkerd2_proxy_api::destination::{
    DestinationProfile, GetDestination, NoEndpoints, Update, destination_client::DestinationClient,
    update::Update as Kind,
};
use std::{error::Error, sync::Arc};
use tokio::{sync::mpsc, time::sleep};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

type Client = DestinationClient<Channel>;

/// An event on the streams of one destination.
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
    /// The endpoints of a leaf are requested again.
    Requested { leaf: Arc<str> },
    /// A stream that had sent a message ended: of a leaf's endpoints, or of the profile (`None`).
    Ended { leaf: Option<Arc<str>> },
}

/// Passes the profiles of `authority` on, until nobody takes them.
pub(super) async fn follow_profile(
    shared: Arc<Shared>,
    authority: Arc<str>,
    events: mpsc::Sender<Event>,
) {
    let open = |mut client: Client, request| async move { client.get_profile(request).await };
    let event = |heard| match heard {
        Heard::Message(profile, first) => Some(Event::Profile {
            first,
            profile: Box::new(profile),
        }),
        Heard::Refusal => Some(Event::Profile {
            first: true,
            profile: Box::default(),
        }),
        Heard::Silence => None,
        Heard::End => Some(Event::Ended { leaf: None }),
    };
    let full = shared.config.full_name(&authority);
    follow(&shared, &authority, full, open, event, &events).await;
}

/// Passes the endpoints of `leaf` on, until nobody takes them.
pub(super) async fn follow_leaf(shared: Arc<Shared>, leaf: Arc<str>, events: mpsc::Sender<Event>) {
    let open = |mut client: Client, request| async move { client.get(request).await };
    let event = |heard| {
        let leaf = leaf.clone();
        Some(match heard {
            Heard::Message(update, first) => Event::Endpoints {
                leaf,
                first,
                update,
            },
            Heard::Refusal => Event::Endpoints {
                leaf,
                first: true,
                update: Update {
                    update: Some(Kind::NoEndpoints(NoEndpoints { exists: false })),
                },
            },
            Heard::Silence => Event::Requested { leaf },
            Heard::End => Event::Ended { leaf: Some(leaf) },
        })
    };
    follow(&shared, &leaf, None, open, event, &events).await;
}

/// News of one stream.
enum Heard<T> {
    /// Its message, and whether it is the stream's first.
    Message(T, bool),
    /// The controller has no answer for this name.
    Refusal,
    /// The stream is opened again, and has not said anything yet.
    Silence,
    /// The stream has ended.
    End,
}

/// Follows `authority`, or its `full` name once the controller has refused the short one.
async fn follow<T, F>(
    shared: &Shared,
    authority: &str,
    mut full: Option<String>,
    open: impl Fn(Client, GetDestination) -> F,
    event: impl Fn(Heard<T>) -> Option<Event>,
    events: &mpsc::Sender<Event>,
) where
    F: Future<Output = Result<Response<Streaming<T>>, Status>>,
{
    let _interest = shared.connection.interest();
    let mut backoff = Backoff::new(shared.config.backoff);
    let refused_pause = shared.config.refused_pause;
    let mut refused = Backoff::new((refused_pause, refused_pause));
    let mut request = shared.request(authority);
    let tell = async |heard| match event(heard) {
        Some(event) => events.send(event).await.is_ok(),
        None => true,
    };
    let mut has_spoken = false;
    loop {
        let (generation, channel) = shared.connection.channel().await;
        if has_spoken && !tell(Heard::Silence).await {
            return;
        }
        let mut first = true;
        let ended = match open(Client::new(channel), request.clone()).await {
            Ok(response) => {
                let mut stream = response.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            shared.connection.heard(generation);
                            if !tell(Heard::Message(message, first)).await {
                                return;
                            }
                            first = false;
                            has_spoken = true;
                            backoff.reset();
                        }
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                }
            }
            Err(status) => Some(status),
        };
        if !first && !tell(Heard::End).await {
            return;
        }
        if let Some(status) = ended {
            if is_transport(&status) {
                // The connection has a pause of its own, for all streams together.
                shared.connection.broken(generation).await;
                continue;
            }
            tracing::debug!(authority, %status, "the controller ended a stream");
            if first && is_refusal(&status) {
                shared.connection.heard(generation);
                if let Some(full) = full.take() {
                    request.path = full;
                    continue;
                }
                if !tell(Heard::Refusal).await {
                    return;
                }
                has_spoken = true;
                sleep(refused.pause()).await;
                continue;
            }
        }
        sleep(backoff.pause()).await;
    }
}

/// Returns true if the controller has no answer for a name, rather than none at the moment.
fn is_refusal(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::InvalidArgument | Code::NotFound | Code::FailedPrecondition | Code::Unknown
    )
}

/// Returns true if the connection failed, not only this stream: a server's status has no source.
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
