use crate::{
    BalanceBody, NoEndpoint,
    body::Exchange,
    endpoint::{Core, InFlight},
    watch::Shared,
};
use http::{Request, Response};
use http_body::Body;
use mesh_core::{Attempt, BoxError, hot::CallClock};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker, ready},
};
use tokio::{
    sync::futures::OwnedNotified,
    time::{Sleep, sleep},
};
use tower_service::Service;

pin_project! {
    /// Waits for an endpoint if there is none, drives it to readiness, then the request to its
    /// response.
    pub struct ResponseFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    // Rare states are boxed, as each layer above moves the future.
    #[project = StateProj]
    enum State<S: Service<Request<B>>, B> {
        Waiting { waiting: Box<Waiting<S, B>> },
        Chosen { chosen: Box<Chosen<S, B>> },
        Called {
            #[pin]
            future: S::Future,
            exchange: Option<Exchange>,
        },
        Failed { error: Option<BoxError> },
    }
}

struct Waiting<S, B> {
    shared: Arc<Shared<S>>,
    req: Option<Request<B>>,
    wait: Option<Wait>,
}

// A clone, and a clone is not ready yet.
struct Chosen<S, B> {
    endpoint: S,
    req: Option<Request<B>>,
    exchange: Option<Exchange>,
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>> + Clone,
    S::Error: Into<BoxError>,
{
    pub(crate) fn new(shared: &Arc<Shared<S>>, req: Request<B>) -> Self {
        let state = match choose(shared, &req) {
            // An endpoint that is ready is called at once, which spares the request two moves.
            // One that is not is asked again from the future, and that waker is the one it has.
            Some((endpoint, exchange)) => {
                let mut cx = Context::from_waker(Waker::noop());
                State::chosen(endpoint, req, exchange, &mut cx)
            }
            None => State::Waiting {
                waiting: Box::new(Waiting {
                    shared: shared.clone(),
                    req: Some(req),
                    wait: Wait::begin(&shared.core),
                }),
            },
        };
        Self { state }
    }
}

impl<S, B> State<S, B>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    fn chosen(mut endpoint: S, req: Request<B>, exchange: Exchange, cx: &mut Context<'_>) -> Self {
        match endpoint.poll_ready(cx) {
            Poll::Ready(Ok(())) => Self::Called {
                future: endpoint.call(req),
                exchange: Some(exchange),
            },
            Poll::Ready(Err(error)) => {
                let error = error.into();
                exchange.failed(&*error);
                Self::Failed { error: Some(error) }
            }
            Poll::Pending => Self::Chosen {
                chosen: Box::new(Chosen {
                    endpoint,
                    req: Some(req),
                    exchange: Some(exchange),
                }),
            },
        }
    }
}

fn choose<S: Clone, B>(shared: &Shared<S>, req: &Request<B>) -> Option<(S, Exchange)> {
    let attempt = Attempt::of(req);
    // Even a first attempt has been somewhere if an endpoint turned out to be unreachable.
    let tried = attempt.map(Attempt::tried).unwrap_or_default();
    let (endpoint, in_flight, addr): (_, InFlight, _) = shared.choose(&tried)?;
    if let Some(attempt) = attempt {
        attempt.note(addr);
    }
    Some((endpoint, Exchange::new(req, in_flight)))
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    RB: Body,
{
    type Output = Result<Response<BalanceBody<RB>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const AGAIN: &str = "polled after it was ready";
        let mut state = self.project().state;
        let _clock = CallClock::begin();
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { waiting } => {
                    let Waiting { shared, req, wait } = &mut **waiting;
                    let config = &shared.core.config;
                    let none = match wait {
                        Some(_) => NoEndpoint::new(config.fail_fast),
                        None => NoEndpoint::crowded(config.fail_fast, config.max_waiting),
                    };
                    let chosen = match wait {
                        Some(wait) => {
                            let req = req.as_ref().expect(AGAIN);
                            ready!(wait.poll(cx, || choose(shared, req)))
                        }
                        None => None,
                    };
                    *wait = None;
                    let Some((endpoint, exchange)) = chosen else {
                        return Poll::Ready(Err(none.into()));
                    };
                    let req = req.take().expect(AGAIN);
                    state.set(State::chosen(endpoint, req, exchange, cx));
                }
                StateProj::Chosen { chosen } => {
                    let Chosen {
                        endpoint,
                        req,
                        exchange,
                    } = &mut **chosen;
                    let ready = ready!(endpoint.poll_ready(cx)).map_err(Into::into);
                    let exchange = exchange.take().expect(AGAIN);
                    if let Err(error) = ready {
                        exchange.failed(&*error);
                        return Poll::Ready(Err(error));
                    }
                    let future = endpoint.call(req.take().expect(AGAIN));
                    state.set(State::Called {
                        future,
                        exchange: Some(exchange),
                    });
                }
                StateProj::Called { future, exchange } => {
                    let poll = future.poll(cx);
                    let rest = match &poll {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Ok(rsp)) => exchange.take().expect(AGAIN).answered(rsp),
                        Poll::Ready(Err(_)) => None,
                    };
                    // Taken apart only now: a response that is named before is moved once more.
                    return match poll {
                        Poll::Pending => Poll::Pending,
                        Poll::Ready(Ok(rsp)) => {
                            Poll::Ready(Ok(rsp.map(|body| BalanceBody::new(body, rest))))
                        }
                        Poll::Ready(Err(error)) => {
                            let error = error.into();
                            exchange.take().expect(AGAIN).failed(&*error);
                            Poll::Ready(Err(error))
                        }
                    };
                }
                StateProj::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect(AGAIN)));
                }
            }
        }
    }
}

/// The wait of one request for an endpoint: rare, so it has a box to itself.
struct Wait {
    // The order matters: registered before the endpoints are looked at, so that none that comes
    // in between is missed.
    appeared: Pin<Box<OwnedNotified>>,
    limit: Pin<Box<Sleep>>,
    core: Arc<Core>,
}

impl Wait {
    /// None if too many wait already.
    fn begin(core: &Arc<Core>) -> Option<Self> {
        let most = core.config.max_waiting;
        core.waiting
            .fetch_update(Relaxed, Relaxed, |n| (n < most).then_some(n + 1))
            .ok()?;
        Some(Self {
            appeared: Box::pin(core.appeared.clone().notified_owned()),
            limit: Box::pin(sleep(core.config.fail_fast)),
            core: core.clone(),
        })
    }

    /// Polls `choose`; returns `None` when the limit has passed.
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut choose: impl FnMut() -> Option<T>,
    ) -> Poll<Option<T>> {
        loop {
            if let Some(chosen) = choose() {
                return Poll::Ready(Some(chosen));
            }
            if self.appeared.as_mut().poll(cx).is_pending() {
                return self.limit.as_mut().poll(cx).map(|()| None);
            }
            self.appeared
                .set(self.core.appeared.clone().notified_owned());
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.core.waiting.fetch_sub(1, Relaxed);
    }
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
