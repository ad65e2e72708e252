//! The mesh, as far as a connection pool must know of it.

use super::{
    extensions,
    headers::CANONICAL,
    respond::{ERROR, REASON},
};
use http::{Extensions, HeaderMap, HeaderValue};
use mesh_core::{Attempt, Fault, Route, hot::KeptHead};
use mesh_pool::{Hooks, Relay};
use mesh_timeout::Deadline;

/// Retry layers stand above the pools, and extensions are used again.
pub(crate) static HOOKS: Hooks = Hooks {
    is_retried,
    kept_head,
    recycle: extensions::reuse,
};

/// The proxy of an endpoint of the mesh, which is told the destination `canonical`, `fqdn:port`.
pub(crate) fn relay(canonical: HeaderValue) -> Relay {
    Relay {
        header: (CANONICAL, canonical),
        refusal,
    }
}

fn is_retried(extensions: &Extensions) -> bool {
    extensions.get().is_some_and(Route::is_retryable)
}

/// The head of a request with these extensions that a retry layer keeps.
///
/// It is of use only while what is sent is what was kept: a retry says in its head that it is one,
/// and where there is a deadline, a layer in between states what is left of it.
fn kept_head(extensions: &Extensions) -> Option<&KeptHead> {
    let attempt = extensions.get::<Attempt>()?;
    let is_changed = attempt.is_retry() || extensions.get::<Deadline>().is_some();
    attempt.kept().filter(|_| !is_changed)
}

/// The reason why the peer's proxy did not give the request to its application. It is believed because a proxy lets
/// no application say so.
fn refusal(headers: &HeaderMap) -> Option<Fault> {
    if !headers.contains_key(&ERROR) {
        return None;
    }
    let reason = headers.get(&REASON)?;
    let told = [Fault::Refused, Fault::ConnectTimeout, Fault::Elapsed];
    told.into_iter().find(|fault| reason == fault.as_str())
}
