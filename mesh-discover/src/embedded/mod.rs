//! For a program that is its own sidecar.
//!
//! [`Outbound`] is the way to one destination: it follows a watch of it, and is the bottom of an
//! ordinary stack, below which the program puts its connections. [`Inbound`] is a layer around
//! what the program serves itself. Both count in [`Metrics`], which the controller is told of.
//!
//! ```no_run
//! use mesh_discover::{Control, ControlConfig, Workload, embedded::{Metrics, Outbound}};
//! use mesh_profile::ProfileLayer;
//! use mesh_retry::RetryLayer;
//! use tower::ServiceBuilder;
//! # type Client = tower::util::BoxCloneSyncService<
//! #     http::Request<mesh_retry::ReplayBody<http_body_util::Empty<&'static [u8]>>>,
//! #     http::Response<http_body_util::Empty<&'static [u8]>>, mesh_retry::BoxError>;
//!
//! # async fn run(
//! #     connect: fn(std::net::SocketAddr) -> Client,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! let control = Control::new(ControlConfig::new("127.0.0.1:8086")?);
//! let metrics = Metrics::new();
//!
//! // Where books are, and how they may be asked for, now and whenever that changes.
//! let books = Outbound::follow(control.destination("books:7002"), &metrics, move |endpoint| {
//!     connect(endpoint.addr)
//! });
//! let client = ServiceBuilder::new()
//!     .layer(ProfileLayer::watch(books.profile().clone())) // which route is this?
//!     .layer(books.stats().effective()) // what we see of it
//!     .layer(RetryLayer::per_route(books.budget().clone())) // again, within the budget
//!     .layer(books.stats().actual()) // what each attempt came to
//!     .service(books); // which leaf, and which of its endpoints
//!
//! // And now `mesh stat` and `mesh edges` know of us.
//! let us = Workload::new("reader").with_metrics(move || metrics.render());
//! let registration = control.register(us);
//! # let _ = (client.oneshot(http::Request::new(http_body_util::Empty::new())), registration);
//! # Ok(())
//! # }
//! # use tower::ServiceExt as _;
//! ```

mod following;
mod inbound;
mod metrics;
mod outbound;

pub use self::{following::Followed, inbound::Inbound, metrics::Metrics, outbound::Outbound};
