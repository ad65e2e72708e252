use super::{Shared, assembly::Assembly, backoff::Backoff};
use crate::{Destination, Publisher};
use linkerd2_proxy_api::destination::{
    DestinationProfile, GetDestination, Update, destination_client::DestinationClient,
};
use std::{
    collections::HashMap,
    error::Error,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};
use tonic::{Code, Response, Status, Streaming, transport::Channel};

/// How long a changed set of leaves waits until all of them have been answered for; then it is
/// announced as it is.
const GRACE: Duration = Duration::from_secs(1);

/// Messages that wait to be taken into the destination: enough that a burst costs no switch
/// each, few enough that a flood waits on the wire.
const QUEUE: usize = 16;

type Client = DestinationClient<Channel>;

enum Event {
    Profile {
        first: bool,
        profile: Box<DestinationProfile>,
    },
    Endpoints {
        leaf: Arc<str>,
        first: bool,
        update: Update,
    },
}

/// Keeps `publisher` up to date until nobody reads it.
pub(super) async fn follow(
    shared: Arc<Shared>,
    authority: Arc<str>,
    publisher: Arc<Publisher<Destination>>,
) {
    let mut run = pin!(run(shared.clone(), authority.clone(), &publisher));
    loop {
        tokio::select! {
            () = publisher.closed() => {
                if shared.end_if_unread(&authority, &publisher) {
                    return;
                }
            }
            () = &mut run => return,
        }
    }
}

/// One stream of the profile and one of each leaf's endpoints, each in a task of its own that
/// ends with this future.
async fn run(shared: Arc<Shared>, authority: Arc<str>, publisher: &Publisher<Destination>) {
    let (events, mut received) = mpsc::channel(QUEUE);
    let mut tasks = JoinSet::new();
    let mut leaves: HashMap<Arc<str>, AbortHandle> = HashMap::new();
    let mut assembly = Assembly::new(authority.clone());
    let mut incomplete_since: Option<Instant> = None;
    let mut doubts: Option<Doubts<'_>> = None;
    tasks.spawn(follow_profile(
        shared.clone(),
        authority.clone(),
        events.clone(),
    ));

    loop {
        let grace = after(incomplete_since, GRACE);
        let doubt = after(doubts.as_ref().map(|it| it.since), shared.config.doubt);
        let mut overdue = false;
        tokio::select! {
            event = received.recv() => match event {
                Some(Event::Profile { first, profile }) => {
                    assembly.profile(*profile, first);
                    leaves.retain(|leaf, task| {
                        let wanted = assembly.leaves().any(|name| name == leaf);
                        if !wanted {
                            task.abort();
                        }
                        wanted
                    });
                    for leaf in assembly.leaves() {
                        leaves.entry(leaf.clone()).or_insert_with(|| {
                            tasks.spawn(follow_leaf(shared.clone(), leaf.clone(), events.clone()))
                        });
                    }
                }
                Some(Event::Endpoints { leaf, first, update }) => {
                    assembly.update(&leaf, first, update);
                }
                None => return,
            },
            () = grace => overdue = true,
            () = doubt => assembly.believe(),
            // Reaps the tasks of leaves that are gone.
            Some(_) = tasks.join_next() => continue,
        }

        shared.ignored.fetch_add(assembly.take_ignored(), Relaxed);
        if !assembly.has_doubts() {
            doubts = None;
        } else if doubts.is_none() {
            tracing::warn!(%authority, "a new controller knows nothing of it; waiting for more");
            doubts = Some(Doubts::begin(&shared.doubted));
        }
        if assembly.is_complete() || overdue {
            incomplete_since = None;
            if let Some(destination) = assembly.destination() {
                publisher.publish(destination);
            }
        } else if incomplete_since.is_none() {
            incomplete_since = Some(Instant::now());
        }
    }
}

/// A destination's word is doubted, as long as this lives.
struct Doubts<'a> {
    since: Instant,
    count: &'a AtomicU64,
}

impl<'a> Doubts<'a> {
    fn begin(count: &'a AtomicU64) -> Self {
        count.fetch_add(1, Relaxed);
        Self {
            since: Instant::now(),
            count,
        }
    }
}

impl Drop for Doubts<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Relaxed);
    }
}

/// Waits until so long after `since`; for ever without it.
async fn after(since: Option<Instant>, limit: Duration) {
    match since.and_then(|since| since.checked_add(limit)) {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn follow_profile(shared: Arc<Shared>, authority: Arc<str>, events: mpsc::Sender<Event>) {
    let request = shared.request(&authority);
    let open = |mut client: Client| {
        let request = request.clone();
        async move { client.get_profile(request).await }
    };
    let event = |profile, first| Event::Profile {
        first,
        profile: Box::new(profile),
    };
    follow_stream(&shared, &authority, open, event, &events).await;
}

async fn follow_leaf(shared: Arc<Shared>, leaf: Arc<str>, events: mpsc::Sender<Event>) {
    let request = shared.request(&leaf);
    let open = |mut client: Client| {
        let request = request.clone();
        async move { client.get(request).await }
    };
    let event = |update, first| Event::Endpoints {
        leaf: leaf.clone(),
        first,
        update,
    };
    follow_stream(&shared, &leaf, open, event, &events).await;
}

/// Opens a stream, passes its messages on, and opens it again when it ends, until nobody takes
/// the messages.
async fn follow_stream<T, F>(
    shared: &Shared,
    authority: &str,
    open: impl Fn(Client) -> F,
    event: impl Fn(T, bool) -> Event,
    events: &mpsc::Sender<Event>,
) where
    F: Future<Output = Result<Response<Streaming<T>>, Status>>,
{
    let mut backoff = Backoff::new(shared.config.backoff);
    loop {
        let (generation, channel) = shared.connection.channel().await;
        let ended = match open(Client::new(channel)).await {
            Ok(response) => {
                let mut stream = response.into_inner();
                let mut first = true;
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            shared.connection.heard();
                            if events.send(event(message, first)).await.is_err() {
                                return;
                            }
                            first = false;
                            backoff.reset();
                        }
                        Ok(None) => break None,
                        Err(status) => break Some(status),
                    }
                }
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
