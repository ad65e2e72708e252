//! A to D: each calls the next on behalf of a request, with a client of its own.

use crate::{Bare, Body};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use mesh_retry::{
    BoxError, Budget, Exhausted, Fault, MESH_ATTEMPT, MESH_NO_RETRY, ReplayBody, Retry, RetryLayer,
};
use mesh_timeout::{Timeout, TimeoutLayer};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tower::{Layer, Service, ServiceExt};

/// What services pass on of what they were told.
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

/// How a client tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tries {
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

/// What a service makes of an error.
fn respond(error: &BoxError, passes: Passes) -> Response<Body> {
    let mut rsp = Response::bare(match Fault::of(&**error) {
        Some(Fault::Elapsed) => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::BAD_GATEWAY,
    });
    if passes.no_retry
        && let Some(exhausted) = Exhausted::of(&**error)
    {
        let reason = HeaderValue::from_static(exhausted.reason().as_str());
        rsp.headers_mut().insert(MESH_NO_RETRY, reason);
    }
    rsp
}

/// A client as people build it: each try has its time.
#[derive(Clone)]
pub(crate) enum Client<S> {
    Budgeted(Retry<Timeout<S>>),
    Naive(Timeout<S>),
}

impl<S: Clone> Client<S> {
    pub(crate) fn new(
        tries: Tries,
        budget: &Budget,
        each: Duration,
        pauses: bool,
        next: S,
    ) -> Self {
        let timed = TimeoutLayer::per_try().with_default(each).layer(next);
        match tries {
            Tries::Naive => Self::Naive(timed),
            Tries::Budgeted(_) => {
                let layer = RetryLayer::new(budget.clone());
                let layer = if pauses {
                    layer
                } else {
                    layer.backoff(crate::NO_PAUSE)
                };
                Self::Budgeted(layer.layer(timed))
            }
        }
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
        match self {
            Self::Budgeted(retry) => retry.poll_ready(cx),
            Self::Naive(timed) => Service::<Request<Body>>::poll_ready(timed, cx),
        }
    }

    fn call(&mut self, req: Request<Body>) -> Call {
        match self {
            Self::Budgeted(retry) => {
                let call = retry.call(req);
                Box::pin(async move { Ok(call.await?.map(|_| Body::new())) })
            }
            Self::Naive(timed) => {
                let timed = timed.clone();
                Box::pin(async move {
                    let mut tries = 0;
                    loop {
                        tries += 1;
                        let result = timed.clone().oneshot(Request::new(Body::new())).await;
                        let failed = result
                            .as_ref()
                            .map_or(true, |rsp| rsp.status().is_server_error());
                        if !failed || tries == 3 {
                            return result;
                        }
                    }
                })
            }
        }
    }
}
