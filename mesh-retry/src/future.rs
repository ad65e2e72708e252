use crate::{
    Inspect, PeekBody, ReplayBody,
    backoff::{Ask, MESH_ATTEMPT, MESH_NO_RETRY},
    inspect::is_retryable,
    layer::Config,
    peek::First,
    replay::Original,
    verdict::Verdict,
};
use http::{Extensions, HeaderValue, Request, Response};
use http_body::Body;
use mesh_core::{Attempt, Class, Classify, DefaultClassify, End, Fault, Head, RetrySkipped, Route};
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

/// How long a gRPC response without a status waits for its first frame. Trailers that say
/// "unavailable" follow the head at once, if not in the same packet; a stream that is merely
/// silent must not be held up.
const PEEK_LIMIT: Duration = Duration::from_millis(10);

/// A service that fails at once would otherwise be called again and again within one poll,
/// and no timeout above would get its turn.
const MAX_CALLS_PER_POLL: u32 = 16;

pin_project! {
    /// The response of [`Retry`](crate::Retry): the inner service's own future for a request
    /// that may not be retried, and the loop of attempts for one that may.
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

/// A request that may be tried again, and how far that has come.
pub(crate) struct Exchange<S, I, B, RB: Body> {
    pub(crate) service: S,
    pub(crate) inspect: I,
    pub(crate) config: Arc<Config>,
    pub(crate) route: Option<Route>,
    pub(crate) is_grpc: bool,
    pub(crate) started: Instant,
    pub(crate) attempt: Attempt,
    /// Attempts made by somebody above, before this request came here.
    pub(crate) earlier: u32,
    pub(crate) retries_left: Option<u32>,
    /// What further attempts get beside their route.
    pub(crate) extensions: Extensions,
    pub(crate) original: Original<B>,
    pub(crate) step: Step<RB>,
}

/// What the loop waits for.
pub(crate) enum Step<RB: Body> {
    /// The attempt's response head.
    Call,
    /// The response's first frame, which may be trailers, for so long.
    Peek(Box<Response<PeekBody<RB>>>, Pin<Box<Sleep>>),
    /// The end of a pause.
    Pause(Pin<Box<Sleep>>),
    /// The service, to be called again.
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
                    // Lets go of the connection and the request body, if they are still held.
                    this.attempt.set(None);
                    match result {
                        Ok(rsp) => {
                            let mut rsp = rsp.map(PeekBody::new);
                            let next = match exchange.classify(&rsp, None) {
                                Some(class) => exchange.decide(rsp, class, Ask::Nothing),
                                // As a rule its first frame is here, too.
                                None if exchange.is_grpc => match exchange.peek(&mut rsp, cx) {
                                    Poll::Ready((class, ask)) => exchange.decide(rsp, class, ask),
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
                    let (rsp, class, ask) = ready!(exchange.poll_peek(cx));
                    match exchange.decide(rsp, class, ask) {
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
        let head = Head::new(self.is_grpc, rsp.status(), rsp.headers());
        match &self.route {
            Some(route) => route.classify().classify(&head, end),
            None => DefaultClassify.classify(&head, end),
        }
    }

    /// What the first frame says, once it is here.
    fn peek(&self, rsp: &mut Response<PeekBody<RB>>, cx: &mut Context<'_>) -> Poll<(Class, Ask)> {
        let (class, ask) = match ready!(rsp.body_mut().poll_peek(cx)) {
            First::Data => (Some(Class::Success), Ask::Nothing),
            First::End => {
                let end = End::Trailers(None);
                (self.classify(rsp, Some(end)), Ask::Nothing)
            }
            First::Error => {
                let end = End::Error(Fault::Reset);
                (self.classify(rsp, Some(end)), Ask::Nothing)
            }
            First::Trailers(trailers) => {
                let ask = Ask::of(trailers);
                let trailers = trailers.clone();
                let end = End::Trailers(Some(&trailers));
                (self.classify(rsp, Some(end)), ask)
            }
        };
        Poll::Ready((class.unwrap_or(Class::Success), ask))
    }

    /// The response with its class, once its first frame has told it or has been waited for
    /// long enough.
    fn poll_peek(&mut self, cx: &mut Context<'_>) -> Poll<(Response<PeekBody<RB>>, Class, Ask)> {
        let Step::Peek(mut rsp, mut sleep) = std::mem::replace(&mut self.step, Step::Ready) else {
            unreachable!("only called while peeking")
        };
        let (class, ask) = match self.peek(&mut rsp, cx) {
            Poll::Ready(told) => told,
            Poll::Pending if sleep.as_mut().poll(cx).is_ready() => (Class::Success, Ask::Nothing),
            Poll::Pending => {
                self.step = Step::Peek(rsp, sleep);
                return Poll::Pending;
            }
        };
        Poll::Ready((*rsp, class, ask))
    }

    /// The response to hand back, or the step to go on with.
    fn decide(
        &self,
        mut rsp: Response<PeekBody<RB>>,
        class: Class,
        in_trailers: Ask,
    ) -> Result<Response<PeekBody<RB>>, Step<RB>> {
        if !class.is_failure() {
            return Ok(rsp);
        }
        let ask = match in_trailers {
            Ask::Nothing => Ask::of(rsp.headers()),
            ask => ask,
        };
        match self.verdict(ask) {
            Verdict::Retry(pause) => Err(Step::after(pause)),
            Verdict::Skip(reason) => {
                rsp.extensions_mut().insert(reason);
                if is_exhausted(reason) {
                    let value = HeaderValue::from_static(reason.as_str());
                    rsp.headers_mut().insert(MESH_NO_RETRY, value);
                }
                Ok(rsp)
            }
        }
    }

    /// The step to go on with after `error` if it may be retried, or what to fail with.
    fn decide_error<E>(&self, error: E) -> Result<Step<RB>, E>
    where
        I: Inspect<E>,
    {
        let fault = self.inspect.fault(&error);
        if !fault.is_some_and(is_retryable) {
            return Err(error);
        }
        match self.verdict(Ask::Nothing) {
            Verdict::Retry(pause) => Ok(Step::after(pause)),
            Verdict::Skip(reason) => {
                self.attempt.skip(reason);
                Err(match is_exhausted(reason) {
                    true => self.inspect.exhausted(error, reason),
                    false => error,
                })
            }
        }
    }

    fn hand_back<E>(&self, rsp: Response<PeekBody<RB>>) -> Poll<Result<Response<PeekBody<RB>>, E>> {
        // An upload may still be running; nobody will ask for its beginning again.
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
        // There is no room only in a head that is as large as can be.
        let _ = req.headers_mut().try_insert(MESH_ATTEMPT, number.into());
        if let Some(route) = &self.route {
            req.extensions_mut().insert(route.clone());
        }
        req.extensions_mut().insert(self.attempt.clone());
        req
    }
}

/// Whether callers are asked not to retry either: it has been done already.
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
