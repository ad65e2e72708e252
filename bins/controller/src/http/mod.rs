//! The JSON API, for the command line and other clients, and the dashboard.
//!
//! It has two listeners: a Unix socket in the state folder, which takes all requests, and a
//! loopback TCP port, which takes only those that change nothing.

mod canaries;
mod check;
mod dashboard;
mod destination;
mod edges;
mod error;
mod faults;
mod guard;
mod hint;
mod openapi;
mod query;
mod resources;
mod routes;
mod rows;
mod stat;
mod tap;
mod version;
mod workloads;

pub use self::error::ApiError;
use crate::{canary::Canaries, faults::FaultStore};
use axum::{Router, middleware};
use mesh_control::stats::Store;
use mesh_control::{
    index::Index,
    source::{Fleet, ResourceStore},
};
use std::sync::{Arc, Mutex};

/// State of the API.
#[derive(Clone, Debug)]
pub struct App {
    /// Resources and workloads.
    pub index: Index,
    /// The counters of the sidecars.
    pub store: Arc<Mutex<Store>>,
    /// The store of resources.
    pub resources: Arc<dyn ResourceStore>,
    /// The faults to inject.
    pub faults: FaultStore,
    /// The fleet that runs the workloads.
    pub fleet: Arc<dyn Fleet>,
    /// The canary releases under way.
    pub canaries: Canaries,
    /// The version, process and addresses of this controller.
    pub about: Arc<mesh_api::Version>,
}

/// The rights of a client, by the listener that it connects to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// May change the mesh: the owner of the state folder.
    Owner,
    /// May read: any user of the machine, and any page in a browser on it.
    ReadOnly,
}

/// All routes.
pub fn router(app: App, access: Access) -> Router {
    let router = api()
        .merge(openapi::routes())
        .merge(dashboard::routes(&app))
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(middleware::map_response(error::in_json))
        .with_state(app);
    match access {
        Access::Owner => router,
        Access::ReadOnly => router.layer(middleware::from_fn(guard::read_only)),
    }
}

/// The routes that the OpenAPI document describes.
fn api() -> Router<App> {
    Router::new()
        .merge(canaries::routes())
        .merge(edges::routes())
        .merge(faults::routes())
        .merge(routes::routes())
        .merge(stat::routes())
        .merge(tap::routes())
        .merge(version::routes())
        .merge(workloads::routes())
        .merge(resources::routes())
        .merge(destination::routes())
        .merge(check::routes())
}
