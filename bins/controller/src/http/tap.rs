use super::{
    ApiError, App,
    query::{self, Query},
};
use axum::{
    Router,
    body::Body,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::StreamExt;
use mesh_api::{Kind, Question, Resource, TapRequest};
use mesh_control::{
    stats::{Topology, query::check_exists},
    tap::{self, TapQuery, Target},
};
use mesh_tap::{Condition, Event, Filter};
use tokio::sync::mpsc::Receiver;
use tokio_stream::wrappers::ReceiverStream;

pub(super) fn routes() -> Router<App> {
    Router::new().route(TapRequest::PATH, get(answer))
}

/// Streams events, one JSON object per line, until the client disconnects.
async fn answer(
    State(app): State<App>,
    Query(request): Query<TapRequest>,
) -> Result<Response, ApiError> {
    let lines = ReceiverStream::new(follow(app, request)?).map(|event| {
        let mut line = serde_json::to_vec(&event)?;
        line.push(b'\n');
        Ok::<_, serde_json::Error>(Bytes::from(line))
    });
    let headers = [(CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(lines)).into_response())
}

/// Starts a tap, which ends when the receiver is dropped.
pub(super) fn follow(app: App, request: TapRequest) -> Result<Receiver<Event>, ApiError> {
    let namespace = query::namespace(&app, request.namespace);
    let target = Target {
        resource: request.resource,
        namespace,
    };
    let to = request.to.map(|to| query::peer(&to, &target.namespace));
    check(&app, &target)?;
    if let Some(to) = &to {
        let topology = Topology::new(&app.index.snapshot());
        check_exists(&query::store(&app), &topology, &to.resource, &to.namespace)?;
    }
    let mut filter = Filter::new();
    if let Some(status) = request.status {
        filter = filter.status(status.first()..=status.last());
    }
    if let Some(limit) = request.slower_than {
        filter = filter.slower_than(limit);
    }
    if let Some(reason) = request.reason {
        filter = filter.and(Condition::Reason(reason));
    }
    if request.retried {
        filter = filter.retried();
    }
    let tap = TapQuery {
        target,
        to,
        scheme: request.scheme,
        method: request.method,
        authority: request.authority,
        path_prefix: request.path,
        route: request.route,
        filter,
        headers: request.headers,
        max_rps: request.max_rps,
    };
    let matching = tap.matching().map_err(ApiError::bad_request)?;
    Ok(tap::follow(app.index, tap, matching))
}

fn check(app: &App, target: &Target) -> Result<(), ApiError> {
    let Resource { kind, name } = &target.resource;
    if matches!(kind, Kind::Service | Kind::Authority) {
        return Err(ApiError::bad_request(format_args!(
            "a {} cannot be tapped, only who calls it: name a workload, and the {} with --to",
            kind.name(),
            kind.name(),
        )));
    }
    let snapshot = app.index.snapshot();
    if tap::sidecars(&snapshot, target).is_empty() {
        if tap::embeds(&snapshot, target) {
            return Err(ApiError::bad_request(format_args!(
                "{}/{} has no sidecar to tap: the program does that part itself, and shows its \
                 requests in its own process (mesh_tap); tap who calls it, or whom it calls",
                kind.name(),
                name.as_deref().unwrap_or_default(),
            )));
        }
        return Err(ApiError::not_found(format_args!(
            "no pods to tap for type={} name={}",
            kind.name(),
            name.as_deref().unwrap_or_default(),
        )));
    }
    Ok(())
}
