use http::{Request, Response};
use mesh_balance::Balance;
use mesh_core::{Attempt, BoxError};
use mesh_pool::{Returned, SendError};
use pin_project_lite::pin_project;
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};
use tower_service::Service;

/// Other endpoints that a request is offered to after the first could not be reached.
const MAX_OFFERS: u8 = 2;

/// Offers a request that reached nobody, because its endpoint could not be connected to, by this
/// proxy or by the one there, to another endpoint of the leaf.
///
/// Nobody has seen it, so this is safe for every method, no attempt, and free of the budget. It
/// is what makes an endpoint's end harmless to requests that were on their way to it.
///
/// A request that an endpoint may have read is never sent again here: it may be what killed it.
#[derive(Debug)]
pub(crate) struct Again<S> {
    balance: Balance<S>,
    /// Shared by the clones of one worker.
    spare: Arc<Balance<S>>,
}

impl<S> Again<S> {
    pub(crate) fn new(balance: Balance<S>) -> Self {
        Self {
            spare: Arc::new(balance.clone()),
            balance,
        }
    }

    pub(crate) fn is_available(&self) -> bool {
        self.balance.is_available()
    }
}

impl<S> Clone for Again<S> {
    fn clone(&self) -> Self {
        Self {
            balance: self.balance.clone(),
            spare: self.spare.clone(),
        }
    }
}

impl<S, B, B2> Service<Request<B>> for Again<S>
where
    Balance<S>: Service<Request<B>, Response = Response<B2>, Error = BoxError>,
    B: Send + 'static,
{
    type Response = Response<B2>;
    type Error = BoxError;
    type Future = ResponseFuture<S, <Balance<S> as Service<Request<B>>>::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.balance.poll_ready(cx)
    }

    fn call(&mut self, req: Request<B>) -> Self::Future {
        ResponseFuture {
            sent: self.balance.call(req),
            spare: self.spare.clone(),
            offers: MAX_OFFERS,
            next: None,
        }
    }
}

pin_project! {
    pub(crate) struct ResponseFuture<S, F, B> {
        #[pin]
        sent: F,
        spare: Arc<Balance<S>>,
        offers: u8,
        // Waits for the balancer.
        next: Option<(Balance<S>, Request<B>)>,
    }
}

impl<S, F, B, B2> Future for ResponseFuture<S, F, B>
where
    Balance<S>: Service<Request<B>, Response = Response<B2>, Error = BoxError, Future = F>,
    F: Future<Output = Result<Response<B2>, BoxError>>,
    B: Send + 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        loop {
            if let Some((balance, _)) = this.next {
                ready!(balance.poll_ready(cx))?;
                if let Some((mut balance, req)) = this.next.take() {
                    this.sent.set(balance.call(req));
                }
            }
            let mut answer = ready!(this.sent.as_mut().poll(cx));
            let returned = match &mut answer {
                Ok(rsp) => Returned::take_from(rsp),
                Err(error) => error
                    .downcast_mut::<SendError>()
                    .and_then(SendError::take_back),
            };
            let Some(Returned { mut req, from }) = returned else {
                return Poll::Ready(answer);
            };
            let balance = &**this.spare;
            // An only endpoint has had its chance; one that was withdrawn meanwhile, too.
            let mut endpoints = balance.endpoints().into_iter();
            if *this.offers == 0 || !endpoints.any(|other| other.addr != from) {
                return Poll::Ready(answer);
            }
            *this.offers -= 1;
            // The balancer avoids what was tried.
            if Attempt::of(&req).is_none() {
                req.extensions_mut().insert(Attempt::first());
            }
            if let Some(attempt) = Attempt::of(&req) {
                attempt.note(from);
            }
            *this.next = Some((balance.clone(), req));
        }
    }
}

impl<S, F, B> fmt::Debug for ResponseFuture<S, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
