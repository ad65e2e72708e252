//! The JSON API, for the command line and whoever else asks.
//!
//! The same questions are answered on two listeners: a Unix socket in the state folder, which
//! also takes commands that change something, and a loopback TCP port, which does not.

mod ask;
mod check;
mod destination;
mod edges;
mod error;
mod guard;
mod hint;
mod resources;
mod routes;
mod rows;
mod stat;
mod tap;
mod version;
mod workloads;

pub use self::error::ApiError;
use axum::{Router, middleware};
use mesh_control::stats::Store;
use mesh_control::{
    index::Index,
    source::{Fleet, ResourceStore},
};
use std::sync::{Arc, Mutex};

/// What the API answers from.
#[derive(Clone, Debug)]
pub struct App {
    /// Resources and workloads.
    pub index: Index,
    /// What the sidecars count.
    pub store: Arc<Mutex<Store>>,
    /// Where changed resources are kept.
    pub resources: Arc<dyn ResourceStore>,
    /// What runs the workloads.
    pub fleet: Arc<dyn Fleet>,
    /// Which controller this is.
    pub about: Arc<mesh_api::Version>,
}

/// Who asks, as far as the listener can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner of the state folder: may change what the mesh does.
    Owner,
    /// Anybody on this machine, and any page in a browser on it: may look.
    ReadOnly,
}

/// All routes.
pub fn router(app: App, access: Access) -> Router {
    let router = Router::new()
        .merge(edges::routes())
        .merge(routes::routes())
        .merge(stat::routes())
        .merge(tap::routes())
        .merge(version::routes())
        .merge(workloads::routes())
        .merge(resources::routes())
        .merge(destination::routes())
        .merge(check::routes())
        .fallback(error::no_such_path)
        .method_not_allowed_fallback(error::no_such_method)
        .layer(middleware::map_response(error::in_json))
        .with_state(app);
    match access {
        Access::Owner => router,
        Access::ReadOnly => router.layer(middleware::from_fn(guard::read_only)),
    }
}
