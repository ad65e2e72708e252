//! Traffic statistics: every sidecar's counters, scraped into short windows, and queries over
//! them.
//!
//! [`scrape`] reads the sidecars, [`Store`] keeps what changed from one reading to the next, and
//! [`query`] answers from it. All but the first are plain functions of values; time is an
//! argument everywhere.

mod family;
mod histogram;
pub mod query;
mod samples;
pub mod scrape;
mod series;
mod store;
mod target;
mod text;
mod topology;

pub use crate::model::GATEWAY;
pub use family::{BOUNDS, Family};
pub use histogram::{BUCKETS, Histogram};
pub use query::QueryError;
pub use series::{Direction, Labels, Outcome};
pub use store::{Increase, RETAIN, Span, Store};
pub use target::{Reading, Sidecar};
pub use topology::{Pod, Service, Split, Topology, Workload, targets};
