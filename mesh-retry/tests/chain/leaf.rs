//! E, the last service: so fast and no faster, and out of order for a while.

use crate::{Bare, Body};
use http::{Request, Response, StatusCode};
use mesh_retry::{BoxError, Fault};
use std::{
    cell::{Cell, RefCell},
    future::{Future, pending},
    ops::Range,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};
use tower::Service;

/// The way in which a leaf fails all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failing {
    /// It answers 503, which takes it as long as an answer does.
    Answers,
    /// Connections are refused.
    Refuses,
    /// It accepts requests and says nothing.
    Hangs,
}

/// Behaviour of the leaf in one run.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    /// Requests a second that it can answer, well or badly.
    pub(crate) capacity: f64,
    /// Time for an answer, without the wait in the queue.
    pub(crate) latency: Duration,
    pub(crate) outage: Range<Instant>,
    pub(crate) failing: Failing,
}

/// More requests than this do not wait: the next is turned away with a 503, which costs nothing.
const QUEUE: u32 = 256;

/// The leaf, which works through its queue in order, and does not know who has given up.
#[derive(Clone)]
pub(crate) struct Serving {
    leaf: Rc<Leaf>,
    /// When it is done with what it has accepted.
    free: Rc<Cell<Instant>>,
    pub(crate) arrivals: Rc<RefCell<Vec<Instant>>>,
}

impl Serving {
    pub(crate) fn new(leaf: Leaf) -> Self {
        Self {
            leaf: Rc::new(leaf),
            free: Rc::new(Cell::new(Instant::now())),
            arrivals: Rc::default(),
        }
    }

    /// The end of a request that came in now, or none if it is turned away.
    fn enqueue(&self, now: Instant) -> Option<Instant> {
        let each = Duration::from_secs_f64(1.0 / self.leaf.capacity);
        let begins = self.free.get().max(now);
        if begins - now > each * QUEUE {
            return None;
        }
        self.free.set(begins + each);
        Some(begins + each + self.leaf.latency)
    }
}

impl<B> Service<Request<B>> for Serving {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        let now = Instant::now();
        self.arrivals.borrow_mut().push(now);
        let failing = self.leaf.outage.contains(&now).then_some(self.leaf.failing);
        let ends = match failing {
            Some(Failing::Refuses) => return Box::pin(async { Err(Fault::Refused.into()) }),
            Some(Failing::Hangs) => return Box::pin(pending()),
            _ => self.enqueue(now),
        };
        Box::pin(async move {
            let Some(ends) = ends else {
                return Ok(Response::bare(StatusCode::SERVICE_UNAVAILABLE));
            };
            sleep_until(ends).await;
            Ok(Response::bare(match failing {
                None => StatusCode::OK,
                Some(_) => StatusCode::SERVICE_UNAVAILABLE,
            }))
        })
    }
}
