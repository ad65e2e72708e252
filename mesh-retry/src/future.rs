use crate::{
    Inspect, PeekBody, ReplayBody,
    backoff::{MESH_ATTEMPT, MESH_NO_RETRY, ServerHint},
    decision::Decision,
    inspect::is_retryable,
    layer::Config,
    peek::First,
    replay::Original,
};
use http::{Extensions, HeaderValue, Request, Response};
use http_body::Body;
use mesh_core::{
    Attempt, Class, Classify, DefaultClassify, End, Fault, Head, RetrySkipped, Route, RpcKind,
};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};
use tower_service::Service;

/// Longest wait for the first frame of a gRPC response without a status in its head, 10 ms.
///
/// Trailers of a failed call follow the head at once, often in the same packet. The head of a
/// silent stream must not be delayed.
const PEEK_LIMIT: Duration = Duration::from_millis(10);

/// Calls of the inner service within one poll.
///
/// Without a bound, a service that fails at once would be called again and again, and no timeout
/// above this layer would be polled.
const MAX_CALLS_PER_POLL: u32 = 16;

pin_project! {
    /// Response future of [`Retry`](crate::Retry).
    ///
    /// A request that may not be retried is the inner service's own future; one that may is a
    /// loop of attempts.
    pub struct ResponseFuture<S, I, B, RB>
    where
        S: Service<Request<ReplayBody<B>>>,
        RB: Body,
    {
        #[pin]
        attempt: Option<S::Future>,
        // Boxed, so that requests that pass through stay small.
        exchange: Option<Box<Exchange<S, I, B, RB>>>,
    }
}

/// A request that may be retried, and its progress.
pub(crate) struct Exchange<S, I, B, RB: Body> {
    pub(crate) service: S,
    pub(crate) inspect: I,
    pub(crate) config: Arc<Config>,
    pub(crate) route: Option<Route>,
    pub(crate) kind: RpcKind,
    pub(crate) started: Instant,
    pub(crate) attempt: Attempt,
    /// Attempts that clients above this layer made of the same request.
    pub(crate) earlier: u32,
    pub(crate) retries_left: Option<u32>,
    /// Extensions of further attempts, without the route.
    pub(crate) extensions: Extensions,
    pub(crate) original: Original<B>,
    pub(crate) step: Step<RB>,
}

/// The event that the loop waits for.
pub(crate) enum Step<RB: Body> {
    /// The attempt's response head.
    Call,
    /// The response's first frame, which may be trailers, until the timer ends.
    Peek(Box<Response<PeekBody<RB>>>, Pin<Box<Sleep>>),
    /// The end of a pause.
    Pause(Pin<Box<Sleep>>),
    /// The service's readiness for the next attempt.
    Ready,
}

impl<S, I, B, RB> ResponseFuture<S, I, B, RB>
where
    S: Service<Request<ReplayBody<B>>>,
    RB: Body,
{
    pub(crate) fn new(attempt: S::Future, exchange: Option<Box<Exchange<S, I, B, RB>>>) -> Self {
        Self {
            attempt: Some(attempt),
            exchange,
        }
    }
}

impl<S, I, B, RB> Future for ResponseFuture<S, I, B, RB>
where
    S: Service<Request<ReplayBody<B>>, Response = Response<RB>>,
    I: Inspect<S::Error>,
    B: Body + Unpin,
    RB: Body + Unpin,
{
    type Output = Result<Response<PeekBody<RB>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(exchange) = this.exchange else {
            let attempt = this.attempt.as_pin_mut().expect("polled after completion");
            return attempt.poll(cx).map_ok(|rsp| rsp.map(PeekBody::new));
        };
        let mut calls = 0;
        loop {
            match &mut exchange.step {
                Step::Call => {
                    let attempt = this.attempt.as_mut().as_pin_mut();
                    let result = ready!(attempt.expect("polled after completion").poll(cx));
                    // Releases the connection and the request body.
                    this.attempt.set(None);
                    match result {
                        Ok(rsp) => {
                            let mut rsp = rsp.map(PeekBody::new);
                            let next = match exchange.classify(&rsp, None) {
                                Some(class) => exchange.decide(rsp, class, ServerHint::None),
                                // The first frame has usually arrived with the head.
                                None if exchange.kind.has_grpc_status() => match exchange
                                    .peek(&mut rsp, cx)
                                {
                                    Poll::Ready((class, hint)) => exchange.decide(rsp, class, hint),
                                    Poll::Pending => Err(Step::peek(rsp)),
                                },
                                None => Ok(rsp),
                            };
                            match next {
                                Ok(rsp) => return exchange.hand_back(rsp),
                                Err(step) => exchange.step = step,
                            }
                        }
                        Err(error) => match exchange.decide_error(error) {
                            Ok(step) => exchange.step = step,
                            Err(error) => {
                                exchange.original.release();
                                return Poll::Ready(Err(error));
                            }
                        },
                    }
                }
                Step::Peek(..) => {
                    let (rsp, class, hint) = ready!(exchange.poll_peek(cx));
                    match exchange.decide(rsp, class, hint) {
                        Ok(rsp) => return exchange.hand_back(rsp),
                        Err(step) => exchange.step = step,
                    }
                }
                Step::Pause(sleep) => {
                    ready!(sleep.as_mut().poll(cx));
                    exchange.step = Step::Ready;
                }
                Step::Ready => {
                    if calls == MAX_CALLS_PER_POLL {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    calls += 1;
                    ready!(exchange.service.poll_ready(cx))?;
                    let req = exchange.next_request();
                    this.attempt.set(Some(exchange.service.call(req)));
                    exchange.step = Step::Call;
                }
            }
        }
    }
}

impl<S, I, B, RB> Exchange<S, I, B, RB>
where
    B: Body + Unpin,
    RB: Body + Unpin,
{
    fn classify(&self, rsp: &Response<PeekBody<RB>>, end: Option<End<'_>>) -> Option<Class> {
        let head = Head::new(self.kind.has_grpc_status(), rsp.status(), rsp.headers());
        match &self.route {
            Some(route) => route.classify().classify(&head, end),
            None => DefaultClassify.classify(&head, end),
        }
    }

    /// Classifies the response by its first frame.
    fn peek(
        &self,
        rsp: &mut Response<PeekBody<RB>>,
        cx: &mut Context<'_>,
    ) -> Poll<(Class, ServerHint)> {
        let mut reader = self.kind.status_reader(rsp.headers());
        let (class, hint) = match ready!(rsp.body_mut().poll_peek(cx)) {
            First::Data(data) => {
                // A call that fails before its first message mostly says so in one piece.
                let trailers = reader.as_mut().and_then(|reader| {
                    reader.read(data);
                    reader.trailers()
                });
                match trailers {
                    None => (Some(Class::Success), ServerHint::None),
                    Some(trailers) => {
                        let hint = ServerHint::of(trailers);
                        let end = End::Trailers(Some(trailers));
                        (self.classify(rsp, Some(end)), hint)
                    }
                }
            }
            First::End => {
                let end = End::Trailers(None);
                (self.classify(rsp, Some(end)), ServerHint::None)
            }
            First::Error => {
                let end = End::Error(Fault::Reset);
                (self.classify(rsp, Some(end)), ServerHint::None)
            }
            First::Trailers(trailers) => {
                let hint = ServerHint::of(trailers);
                let trailers = trailers.clone();
                let end = End::Trailers(Some(&trailers));
                (self.classify(rsp, Some(end)), hint)
            }
        };
        Poll::Ready((class.unwrap_or(Class::Success), hint))
    }

    /// Returns the response and its class when the first frame has come or [`PEEK_LIMIT`] is over.
    fn poll_peek(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<(Response<PeekBody<RB>>, Class, ServerHint)> {
        let Step::Peek(mut rsp, mut sleep) = std::mem::replace(&mut self.step, Step::Ready) else {
            unreachable!("only called while peeking")
        };
        let (class, hint) = match self.peek(&mut rsp, cx) {
            Poll::Ready(told) => told,
            Poll::Pending if sleep.as_mut().poll(cx).is_ready() => {
                (Class::Success, ServerHint::None)
            }
            Poll::Pending => {
                self.step = Step::Peek(rsp, sleep);
                return Poll::Pending;
            }
        };
        Poll::Ready((*rsp, class, hint))
    }

    /// Returns the response to hand back, or the next step of the loop.
    fn decide(
        &self,
        mut rsp: Response<PeekBody<RB>>,
        class: Class,
        in_trailers: ServerHint,
    ) -> Result<Response<PeekBody<RB>>, Step<RB>> {
        if !class.is_failure() {
            return Ok(rsp);
        }
        let hint = match in_trailers {
            ServerHint::None => ServerHint::of(rsp.headers()),
            hint => hint,
        };
        match self.retry_decision(hint) {
            Decision::Retry(pause) => Err(Step::after(pause)),
            Decision::Skip(reason) => {
                rsp.extensions_mut().insert(reason);
                if is_exhausted(reason) {
                    let value = HeaderValue::from_static(reason.as_str());
                    rsp.headers_mut().insert(MESH_NO_RETRY, value);
                }
                Ok(rsp)
            }
        }
    }

    /// Returns the next step after `error`, or the error to fail with.
    fn decide_error<E>(&self, error: E) -> Result<Step<RB>, E>
    where
        I: Inspect<E>,
    {
        let fault = self.inspect.fault(&error);
        if !fault.is_some_and(is_retryable) {
            return Err(error);
        }
        match self.retry_decision(ServerHint::None) {
            Decision::Retry(pause) => Ok(Step::after(pause)),
            Decision::Skip(reason) => {
                self.attempt.skip(reason);
                Err(match is_exhausted(reason) {
                    true => self.inspect.exhausted(error, reason),
                    false => error,
                })
            }
        }
    }

    fn hand_back<E>(&self, rsp: Response<PeekBody<RB>>) -> Poll<Result<Response<PeekBody<RB>>, E>> {
        // An upload may still be running; no attempt needs its beginning any more.
        self.original.release();
        Poll::Ready(Ok(rsp))
    }

    fn next_request(&mut self) -> Request<ReplayBody<B>> {
        self.attempt = self.attempt.next();
        self.retries_left = self.retries_left.map(|left| left.saturating_sub(1));
        let kept = self.attempt.kept();
        let kept = kept.expect("a request without its head is never granted a retry");
        let mut req = kept.to_request().map(|()| self.original.replay());
        *req.extensions_mut() = self.extensions.clone();
        let number = self.earlier.saturating_add(self.attempt.number());
        // Inserting fails only in a header map of the largest possible size.
        let _ = req.headers_mut().try_insert(MESH_ATTEMPT, number.into());
        if let Some(route) = &self.route {
            req.extensions_mut().insert(route.clone());
        }
        req.extensions_mut().insert(self.attempt.clone());
        req
    }
}

/// Returns true if callers must not retry either, as this layer has done so.
fn is_exhausted(reason: RetrySkipped) -> bool {
    matches!(reason, RetrySkipped::NoBudget | RetrySkipped::Limit)
}

impl<RB: Body> Step<RB> {
    fn peek(rsp: Response<PeekBody<RB>>) -> Self {
        Self::Peek(Box::new(rsp), Box::pin(tokio::time::sleep(PEEK_LIMIT)))
    }

    fn after(pause: Duration) -> Self {
        if pause.is_zero() {
            Self::Ready
        } else {
            Self::Pause(Box::pin(tokio::time::sleep(pause)))
        }
    }
}

impl<S, I, B, RB> fmt::Debug for ResponseFuture<S, I, B, RB>
where
    S: Service<Request<ReplayBody<B>>>,
    RB: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture")
            .field("may_retry", &self.exchange.is_some())
            .finish_non_exhaustive()
    }
}
