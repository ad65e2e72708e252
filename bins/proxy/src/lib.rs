//! The mesh sidecar: the middleware of this workspace, stacked, over hyper.
//!
//! Outbound, a request goes down this line; each step is a file, or a crate.
//!
//! ```text
//! accept       socket                               accept.rs, connections.rs, worker.rs
//! capture      where a redirected one was going     capture.rs, entrance.rs
//! detect       HTTP/1, HTTP/2, TLS or opaque        detect/; silence.rs, carry.rs, tls.rs
//! serve        hyper: connection -> requests        serve/
//! respond      errors from below become responses   respond.rs
//! admit        not what is ambiguous or too large   admit.rs
//! find         authority -> destination, cached     outbound.rs, cache.rs
//!   profile    match -> Route in extensions         destination.rs from here on
//!   effective  count what the caller will see
//!   timeout    one deadline, retries included
//!   exchange   tap what no attempt below will show
//!   retry      again, if the budget allows
//!   actual     count each attempt
//!   split      choose a leaf by weight
//!     again    another endpoint, if the first could not be reached   again.rs
//!     balance  choose an endpoint of the leaf
//!       tap    show the attempt and its endpoint
//!       stats  count it
//!       send   connection, HTTP/1 or 2              pool/
//! ```
//!
//! Inbound it is the same without choices: see `inbound.rs`.
//!
//! Each worker is a thread with a runtime, listeners, connections, stacks and counters of its
//! own; a request never leaves it. Two things are shared, because they were made for it: a
//! destination's retry budget and the ticket counter of its split. One more thread follows the
//! controller and answers the admin port.

mod accept;
mod admin;
mod admit;
mod again;
mod cache;
mod capture;
mod carry;
mod config;
mod connections;
mod deadline;
mod destination;
mod detect;
mod discover;
mod drain;
mod ejections;
mod entrance;
mod extensions;
mod headers;
mod inbound;
mod joint;
mod opaque;
mod outbound;
mod pool;
mod proxy;
mod registry;
mod resolve;
mod respond;
mod serve;
mod signals;
mod silence;
mod standalone;
mod tls;
mod transport;
mod worker;

pub use self::{
    config::{Args, Config, Fixed, Label, Limits, Listener, Role, Standalone},
    discover::Discover,
    proxy::{Proxy, run},
    signals::{Ask, Shutdown},
};

#[doc(hidden)]
pub mod strangers;

/// Log lines go to standard error, filtered by [`Config::log`].
pub mod log {
    use tracing_subscriber::EnvFilter;

    /// Starts logging; does nothing if the program logs already.
    pub fn init(filter: &str) {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(filter))
            .with_writer(std::io::stderr)
            .try_init();
    }
}
