//! The mesh sidecar: the middleware of this workspace, stacked, over hyper.
//!
//! Outbound, a request goes down this line; each step is a file, or a crate.
//!
//! ```text
//! accept       socket                               listener/, worker.rs
//! capture      where a redirected one was going     listener/capture.rs, listener/router.rs
//! detect       HTTP/1, HTTP/2, TLS or opaque        mesh-serve; listener/server_first.rs, tcp/
//! serve        hyper: connection -> requests        serve/
//! respond      errors from below become responses   http/respond.rs
//! admit        not what is ambiguous or too large   mesh-serve
//! find         authority -> destination, cached     http/outbound/, http/cache.rs
//!   profile    match -> Route in extensions         http/outbound/stack.rs from here on
//!   effective  count what the caller will see
//!   timeout    one deadline, retries included
//!   exchange   tap what no attempt below will show
//!   retry      again, if the budget allows
//!   actual     count each attempt
//!   split      choose a leaf by weight
//!     again    another endpoint, if the first could not be reached   http/outbound/again.rs
//!     balance  choose an endpoint of the leaf
//!       tap    show the attempt and its endpoint
//!       stats  count it
//!       send   connection, HTTP/1 or 2              mesh-pool
//! ```
//!
//! Inbound it is the same without choices: see `http/inbound.rs`.
//!
//! Each worker is a thread with a runtime, listeners, connections, stacks and counters of its
//! own; a request never leaves it. Two things are shared, because they were made for it: a
//! destination's retry budget and the ticket counter of its split. One more thread follows the
//! controller and answers the admin port.

mod admin;
mod config;
mod discover;
mod http;
mod identity;
mod listener;
mod proxy;
mod registry;
mod signals;
mod tcp;
mod worker;

pub use self::{
    config::{Args, Config, Fixed, Label, Limits, Listener, Role, Standalone},
    discover::Discover,
    proxy::{Proxy, run},
    signals::{Shutdown, ShutdownHandle},
};

#[doc(hidden)]
pub mod fuzzing;

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
