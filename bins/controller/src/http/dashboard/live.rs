//! Keeps open pages up to date by server-sent events.

use super::{
    Dashboard, REFRESH,
    layout::{self, Page, Section},
};
use crate::http::ApiError;
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header::ACCEPT, request::Parts},
    response::{
        Html, IntoResponse, Response,
        sse::{Event, Sse},
    },
};
use futures_util::stream;
use maud::Markup;
use std::{convert::Infallible, time::Duration};
use tokio::time::{MissedTickBehavior, interval};

/// The form in which a page is asked for, by the header `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Page,
    /// The live part, each time that it changes.
    Stream,
}

impl<S: Sync> FromRequestParts<S> for Form {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let accept = parts.headers.get(ACCEPT).map(|accept| accept.as_bytes());
        Ok(match accept {
            Some(accept) if accept.starts_with(b"text/event-stream") => Self::Stream,
            _ => Self::Page,
        })
    }
}

/// Answers with the page, or with a stream of what `live` renders.
pub(super) fn answer(
    dashboard: &Dashboard,
    form: Form,
    (section, title, fixed): (Section, &str, Markup),
    live: impl Fn(&Dashboard) -> Result<Markup, ApiError> + Send + 'static,
) -> Response {
    if form == Form::Stream {
        return updates(dashboard, live);
    }
    match live(dashboard) {
        Ok(live) => {
            let page = Page {
                section,
                title,
                fixed,
                live: Some(live),
                scripts: &[],
            };
            Html(page.render(&dashboard.app).into_string()).into_response()
        }
        Err(error) => layout::error(&dashboard.app, section, &error),
    }
}

/// An event `page` with the live part when it has changed, as JSON since names from traffic may
/// contain any character, and an event `same` when it has not.
fn updates(
    dashboard: &Dashboard,
    live: impl Fn(&Dashboard) -> Result<Markup, ApiError> + Send + 'static,
) -> Response {
    let Ok(permit) = dashboard.streams.clone().try_acquire_owned() else {
        let reason = "too many pages are open: close some";
        return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response();
    };
    let mut ticks = interval(REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let state = (dashboard.clone(), live, ticks, String::new(), permit);
    let events = stream::unfold(
        state,
        |(dashboard, live, mut ticks, last, permit)| async move {
            ticks.tick().await;
            // An error ends the stream; the page asks again, and says that it is stale.
            let now = live(&dashboard).ok()?.into_string();
            let event = match now == last {
                // Browsers drop an event without data.
                true => Event::default().event("same").data("-"),
                false => Event::default().event("page").json_data(&now).ok()?,
            };
            Some((
                Ok::<_, Infallible>(event),
                (dashboard, live, ticks, now, permit),
            ))
        },
    );
    let first = Event::default().retry(Duration::from_secs(2)).comment("");
    let events = futures_util::StreamExt::chain(stream::iter([Ok(first)]), events);
    Sse::new(events).into_response()
}
