//! The tap: a filter to fill in, and the exchanges that it selects as they end.

mod exchange;
mod form;
mod session;

pub(super) use self::session::Sessions;

use self::{form::Parameters, session::Session};
use super::{
    Dashboard, assets,
    layout::{Page, Section},
    paths,
};
use crate::http::{ApiError, query::Query, tap};
use axum::{
    Router,
    extract::{Path, State},
    http::{
        StatusCode,
        header::{CONTENT_DISPOSITION, CONTENT_TYPE},
    },
    response::{
        Html, IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use futures_util::{StreamExt, stream};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};
use tokio_stream::wrappers::ReceiverStream;

/// Path of the events of a tap.
const EVENTS: &str = "/tap/events";

/// The interval of signs of life of a tap that sees nothing.
const ALIVE: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<Dashboard> {
    Router::new()
        .route(paths::TAP, get(page))
        .route(EVENTS, get(events))
        .route("/tap/sessions/{id}/{file}", get(export))
}

/// A tap of a workload that begins at once.
pub(super) fn link(namespace: &str, name: &str, status: &str) -> String {
    let parameters = [
        ("namespace", namespace),
        ("resource", &*format!("deploy/{name}")),
        ("status", status),
        ("start", "true"),
    ];
    paths::with_query(paths::TAP, &parameters)
}

async fn page(
    State(dashboard): State<Dashboard>,
    Query(parameters): Query<Parameters>,
) -> Response {
    let app = &dashboard.app;
    let page = Page {
        section: Section::Tap,
        title: "Tap",
        fixed: form::content(app, &parameters),
        live: None,
        scripts: if parameters.start {
            &[assets::TAP]
        } else {
            &[]
        },
    };
    Html(page.render(app).into_string()).into_response()
}

/// Events `session` with its number, and `exchange` with a row of HTML as JSON.
async fn events(
    State(dashboard): State<Dashboard>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, ApiError> {
    let Ok(permit) = dashboard.streams.clone().try_acquire_owned() else {
        let reason = "too many pages are open: close some";
        return Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, reason));
    };
    let mut request = parameters.request()?;
    request.headers = true;
    let events = tap::follow(dashboard.app.clone(), request)?;
    let session = Arc::new(Mutex::new(Session::default()));
    let mut sessions = dashboard
        .taps
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let id = sessions.add(session.clone()).to_string();
    drop(sessions);
    let first = Event::default().event("session").data(id);
    let rows = ReceiverStream::new(events).filter_map(move |event| {
        let _permit = &permit;
        let mut session = session.lock().unwrap_or_else(PoisonError::into_inner);
        let row = session.add(&event, SystemTime::now());
        let row = row.and_then(|row| Event::default().event("exchange").json_data(row).ok());
        std::future::ready(row)
    });
    let events = stream::iter([first]).chain(rows).map(Ok::<_, Infallible>);
    // Browsers drop an event without data.
    let alive = Event::default().event("same").data("-");
    let alive = KeepAlive::new().interval(ALIVE).event(alive);
    Ok(Sse::new(events).keep_alive(alive).into_response())
}

async fn export(
    State(dashboard): State<Dashboard>,
    Path((id, file)): Path<(u64, String)>,
) -> Result<Response, ApiError> {
    let sessions = dashboard
        .taps
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let session = sessions.find(id).ok_or_else(|| {
        ApiError::not_found("this tap is not kept any more: only the last ones are")
    })?;
    drop(sessions);
    let session = session.lock().unwrap_or_else(PoisonError::into_inner);
    let (kind, text) = match &*file {
        "exchanges.ndjson" => ("application/x-ndjson", session.ndjson()),
        "exchanges.har" => (
            "application/json",
            session.har().map_err(|error| ApiError::internal(&error))?,
        ),
        _ => return Err(ApiError::not_found(format_args!("there is no {file}"))),
    };
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename=\"{file}\""),
        ),
    ];
    Ok((headers, text).into_response())
}
