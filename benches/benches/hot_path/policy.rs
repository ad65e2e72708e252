use http::{Request, Response};
use mesh_benches::NoBody;
use std::{
    future::{Ready, ready},
    sync::Arc,
};
use tower::retry::{
    Policy, RetryLayer,
    budget::{Budget as _, TpsBudget},
};

/// A usual policy for tower's retry: a 5xx is retried if the request can be cloned and the budget
/// allows it.
#[derive(Clone)]
pub(crate) struct TowerPolicy {
    is_retryable: bool,
    budget: Arc<TpsBudget>,
}

/// Tower's retry of requests that may all be retried, or none of them.
pub(crate) fn tower_retry(is_retryable: bool) -> RetryLayer<TowerPolicy> {
    RetryLayer::new(TowerPolicy {
        is_retryable,
        budget: Arc::default(),
    })
}

impl<E> Policy<Request<NoBody>, Response<NoBody>, E> for TowerPolicy {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<NoBody>,
        result: &mut Result<Response<NoBody>, E>,
    ) -> Option<Ready<()>> {
        let is_failure = |rsp: &Response<_>| rsp.status().is_server_error();
        if result.as_ref().is_ok_and(|rsp| !is_failure(rsp)) {
            self.budget.deposit();
            return None;
        }
        self.budget.withdraw().then(|| ready(()))
    }

    fn clone_request(&mut self, req: &Request<NoBody>) -> Option<Request<NoBody>> {
        self.is_retryable.then(|| req.clone())
    }
}
