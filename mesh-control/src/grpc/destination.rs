use super::{context::Context, updates};
use crate::{
    index::{Apex, Endpoints, Index, Subscription},
    model::{Kind, Reference},
};
use futures_util::{Stream, StreamExt, stream};
use linkerd2_proxy_api::{
    destination::{
        DestinationProfile, GetDestination, Update,
        destination_server::{Destination, DestinationServer},
    },
    meta::{self, Metadata, metadata::Kind::Resource},
};
use mesh_discover::wire;
use std::{pin::Pin, sync::Arc};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

/// The longest authority that is looked up: a host name's 253 characters, a dot and a port.
const MAX_AUTHORITY: usize = 260;

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Linkerd's destination service: endpoints and profiles by authority.
#[derive(Clone, Debug)]
pub struct DestinationApi {
    index: Index,
    stop: watch::Receiver<bool>,
}

impl DestinationApi {
    /// Answers from `index`. Streams end when `stop` is true or its sender is dropped, so that
    /// sidecars connect to the next controller.
    pub fn new(index: Index, stop: watch::Receiver<bool>) -> Self {
        Self { index, stop }
    }

    /// The gRPC service.
    pub fn into_service(self) -> DestinationServer<Self> {
        DestinationServer::new(self)
    }

    /// Ends `answers` when the controller does.
    fn until_stopped<T: 'static>(
        &self,
        answers: impl Stream<Item = T> + Send + 'static,
    ) -> Response<Answers<T>> {
        let mut stop = self.stop.clone();
        let stopped = async move {
            // An error is the end, too.
            let _ = stop.wait_for(|stop| *stop).await;
        };
        Response::new(Box::pin(answers.map(Ok).take_until(Box::pin(stopped))))
    }
}

#[tonic::async_trait]
impl Destination for DestinationApi {
    type GetStream = Answers<Update>;
    type GetProfileStream = Answers<DestinationProfile>;

    async fn get(
        &self,
        request: Request<GetDestination>,
    ) -> Result<Response<Self::GetStream>, Status> {
        let (authority, context) = question(request)?;
        let answers = self.index.subscribe_endpoints(&authority, &context.ns);
        let mut before: Option<Arc<Endpoints>> = None;
        let updates = each(answers).flat_map(move |now| {
            let updates = updates::between(before.as_deref(), &now);
            before = Some(now);
            stream::iter(updates)
        });
        Ok(self.until_stopped(updates))
    }

    async fn get_profile(
        &self,
        request: Request<GetDestination>,
    ) -> Result<Response<Self::GetProfileStream>, Status> {
        let (authority, context) = question(request)?;
        let answers = self.index.subscribe_apex(&authority, &context.ns);
        let profiles = each(answers).map(move |apex| profile(&apex, &authority));
        Ok(self.until_stopped(profiles))
    }
}

fn question(request: Request<GetDestination>) -> Result<(String, Context), Status> {
    let request = request.into_inner();
    if request.path.is_empty() || request.path.len() > MAX_AUTHORITY {
        return Err(Status::invalid_argument("path must be an authority"));
    }
    let context = Context::parse(&request.context_token);
    tracing::debug!(authority = request.path, pod = context.pod, "asked");
    Ok((request.path, context))
}

/// The present answer, and then each later one.
fn each<T: Send + Sync + 'static>(
    answers: Subscription<T>,
) -> impl Stream<Item = Arc<T>> + Send + 'static {
    stream::unfold(answers, |mut answers| async {
        let answer = answers.next().await;
        Some((answer, answers))
    })
}

/// Builds the message that a sidecar gets for `authority`.
pub fn profile(apex: &Apex, authority: &str) -> DestinationProfile {
    let mut profile = wire::profile_to_wire(&apex.profile, &apex.fqdn, authority);
    if let Some(split) = &apex.split {
        profile.dst_overrides = wire::overrides_to_wire(&split.leaves, &apex.fqdn, authority);
    }
    profile.opaque_protocol = apex.opaque;
    profile.parent_ref = apex.service.as_ref().map(|service| Metadata {
        kind: Some(Resource(meta::Resource {
            group: "core".into(),
            kind: "Service".into(),
            name: service.service.to_string(),
            namespace: service.namespace.to_string(),
            port: apex.port.into(),
            ..meta::Resource::default()
        })),
    });
    profile.profile_ref = apex.resource.as_ref().and_then(reference);
    profile
}

fn reference(reference: &Reference) -> Option<Metadata> {
    let Kind::Resource(kind) = reference.kind else {
        return None;
    };
    let (kind, group) = kind.name_and_group();
    Some(Metadata {
        kind: Some(Resource(meta::Resource {
            group: group.into(),
            kind: kind.into(),
            name: reference.name.to_string(),
            namespace: reference.namespace.to_string(),
            ..meta::Resource::default()
        })),
    })
}
