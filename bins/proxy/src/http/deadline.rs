//! Deadlines of callers. They begin here; the stacks obey them, at no cost where there is none.

use http::Request;
use mesh_timeout::Deadline;
use tokio::time::Instant;

/// Notes in `req` what its headers say of a deadline, for the stack.
pub(crate) fn note<B>(req: &mut Request<B>) {
    let now = Instant::now().into_std();
    if let Some(deadline) = Deadline::from_headers(req.headers(), now) {
        req.extensions_mut().insert(deadline);
    }
}

/// Until when the caller of `req` waits for a response to begin, if that was noted.
pub(crate) fn until<B>(req: &Request<B>) -> Option<Instant> {
    Deadline::of(req)?.head().map(Instant::from_std)
}
