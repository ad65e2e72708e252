//! The dashboard: pages of HTML, made by the server from the answers of the JSON API.
//!
//! Pages read and never write: a change is shown as the command line that makes it. `live.rs` keeps
//! an open page up to date; without scripts, a page is a page. `docs/dashboard.md` argues for both.

mod assets;
mod check;
mod explain;
mod figures;
mod graph;
mod headers;
mod layout;
mod live;
mod overview;
mod paths;
mod routes;
mod sparkline;
mod tap;
mod workload;

use super::App;
use axum::{Router, middleware};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Semaphore;

/// The interval at which an open page is brought up to date.
const REFRESH: Duration = Duration::from_secs(2);

/// The most streams of updates at a time; a page beyond them says that it is not live.
const MAX_STREAMS: usize = 128;

/// State of the dashboard.
#[derive(Clone)]
struct Dashboard {
    app: App,
    overview: Arc<Mutex<overview::Cache>>,
    streams: Arc<Semaphore>,
    taps: Arc<Mutex<tap::Sessions>>,
}

/// All pages.
pub(super) fn routes(app: &App) -> Router<App> {
    let dashboard = Dashboard {
        app: app.clone(),
        overview: Arc::default(),
        streams: Arc::new(Semaphore::new(MAX_STREAMS)),
        taps: Arc::default(),
    };
    let pages = Router::new()
        .merge(overview::routes())
        .merge(workload::routes())
        .merge(tap::routes())
        .merge(routes::routes())
        .merge(explain::routes())
        .merge(check::routes())
        .layer(middleware::map_response(headers::of_page))
        .with_state(dashboard);
    Router::new().merge(pages).merge(assets::routes())
}
