//! A to D: each calls the next on behalf of a request, with a client of its own.

use crate::{Bare, Body, NO_PAUSE, run::Plan};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use mesh_retry::{
    BoxError, Budget, Exhausted, Fault, MESH_ATTEMPT, MESH_NO_RETRY, ReplayBody, Retry, RetryLayer,
    RetrySkipped, Route,
};
use mesh_timeout::{Elapsed, Timeout, TimeoutLayer};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt};

/// The headers that services pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Passes {
    /// `mesh-attempt`, from a request to those made on its behalf.
    pub(crate) attempt: bool,
    /// `mesh-no-retry`, from a response or an error to the one made of it.
    pub(crate) no_retry: bool,
}

impl Passes {
    pub(crate) const BOTH: Self = Self {
        attempt: true,
        no_retry: true,
    };
    pub(crate) const NOTHING: Self = Self {
        attempt: false,
        no_retry: false,
    };
}

/// A client's retry policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// The layer of this crate, with its default budget.
    Budgeted(Passes),
    /// Three, whatever happens elsewhere.
    Naive,
}

pub(crate) type Call = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>>>>;

/// A service that answers a request with what the next one says.
#[derive(Clone)]
pub(crate) struct Server<C> {
    pub(crate) client: C,
    pub(crate) passes: Passes,
}

impl<C, B> Service<Request<B>> for Server<C>
where
    C: Service<Request<Body>, Response = Response<Body>, Error = BoxError> + Clone + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<B>) -> Call {
        let mut onward = Request::new(Body::new());
        *onward.method_mut() = Method::GET;
        if self.passes.attempt {
            pass(&MESH_ATTEMPT, req.headers(), onward.headers_mut());
        }
        let call = self.client.clone().oneshot(onward);
        let passes = self.passes;
        Box::pin(async move {
            Ok(match call.await {
                Ok(below) => {
                    let mut rsp = Response::bare(below.status());
                    if passes.no_retry {
                        pass(&MESH_NO_RETRY, below.headers(), rsp.headers_mut());
                    }
                    rsp
                }
                Err(error) => respond(&error, passes),
            })
        })
    }
}

fn pass(name: &HeaderName, from: &HeaderMap, to: &mut HeaderMap) {
    if let Some(value) = from.get(name) {
        to.insert(name, value.clone());
    }
}

/// Converts an error to a response.
fn respond(error: &BoxError, passes: Passes) -> Response<Body> {
    let mut rsp = Response::bare(match Fault::of(&**error) {
        Some(Fault::Elapsed) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    });
    let exhausted = Exhausted::of(&**error).map(Exhausted::reason);
    let elapsed: Option<&Elapsed> = error.downcast_ref();
    let elapsed = elapsed.filter(|elapsed| elapsed.ends_retries());
    if passes.no_retry
        && let Some(reason) = exhausted.or(elapsed.map(|_| RetrySkipped::Limit))
    {
        let reason = HeaderValue::from_static(reason.as_str());
        rsp.headers_mut().insert(MESH_NO_RETRY, reason);
    }
    rsp
}

/// Source of a client's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// The layer: three attempts of what is idempotent, each with its time.
    Layer,
    /// A route, as in the mesh: attempts while budget and time last, and one time for all of them.
    Route,
}

/// A client as people build it.
#[derive(Clone)]
pub(crate) struct Client<S> {
    stack: Stack<S>,
    route: Option<Route>,
}

#[derive(Clone)]
enum Stack<S> {
    Budgeted(Timeout<Retry<Timeout<S>>>),
    Naive(Timeout<S>),
}

impl<S: Clone> Client<S> {
    pub(crate) fn new(plan: &Plan, budget: &Budget, limit: Duration, next: S) -> Self {
        let each = TimeoutLayer::per_attempt();
        let (each, retry, route) = match plan.policy {
            Policy::Layer => {
                let retry = RetryLayer::new(budget.clone());
                (each.with_default(limit), retry, None)
            }
            Policy::Route => {
                let route = Route::new("any").with_retries().with_timeout(limit);
                (each, RetryLayer::per_route(budget.clone()), Some(route))
            }
        };
        let retry = if plan.pauses {
            retry
        } else {
            retry.backoff(NO_PAUSE)
        };
        let next = each.layer(next);
        let stack = match plan.attempts {
            Attempts::Naive => Stack::Naive(next),
            Attempts::Budgeted(_) => {
                Stack::Budgeted(TimeoutLayer::per_route().layer(retry.layer(next)))
            }
        };
        Self { stack, route }
    }
}

impl<S> Service<Request<Body>> for Client<S>
where
    S: Service<Request<ReplayBody<Body>>, Response = Response<Body>, Error = BoxError>
        + Service<Request<Body>, Response = Response<Body>, Error = BoxError>
        + Clone
        + 'static,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Call;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        match &mut self.stack {
            Stack::Budgeted(retry) => retry.poll_ready(cx),
            Stack::Naive(timed) => Service::<Request<Body>>::poll_ready(timed, cx),
        }
    }

    fn call(&mut self, mut req: Request<Body>) -> Call {
        if let Some(route) = &self.route {
            req.extensions_mut().insert(route.clone());
        }
        match &mut self.stack {
            Stack::Budgeted(retry) => {
                let call = retry.call(req);
                Box::pin(async move { Ok(call.await?.map(|_| Body::new())) })
            }
            Stack::Naive(timed) => {
                let timed = timed.clone();
                Box::pin(async move {
                    let mut attempts = 0;
                    loop {
                        attempts += 1;
                        let result = timed.clone().oneshot(Request::new(Body::new())).await;
                        let failed = result
                            .as_ref()
                            .map_or(true, |rsp| rsp.status().is_server_error());
                        if !failed || attempts == 3 {
                            return result;
                        }
                    }
                })
            }
        }
    }
}
