use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tower_service::Service;

pin_project! {
    /// Drives the chosen leaf to readiness, then the request to its response.
    pub struct ResponseFuture<S: Service<R>, R> {
        #[pin]
        state: State<S, R>,
    }
}

pin_project! {
    // Rare states are boxed, as each layer above moves the future.
    #[project = StateProj]
    enum State<S: Service<R>, R> {
        // A clone, and a clone is not ready yet.
        Waiting { waiting: Box<(S, Option<R>)> },
        Called { #[pin] future: S::Future },
        Failed { error: Option<S::Error> },
    }
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    /// Calls a leaf that is ready at once, which spares the request two moves, and leaves it where
    /// it is. One that is not is taken along and asked again from the future, and that waker is
    /// the one it has.
    pub(crate) fn new(leaf: &mut Option<(usize, S)>, req: R) -> Self {
        let (number, mut service) = leaf.take().expect("a leaf was put here");
        let state = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                let future = service.call(req);
                *leaf = Some((number, service));
                State::Called { future }
            }
            Poll::Ready(Err(error)) => State::Failed { error: Some(error) },
            Poll::Pending => State::Waiting {
                waiting: Box::new((service, Some(req))),
            },
        };
        Self { state }
    }
}

impl<S: Service<R>, R> Future for ResponseFuture<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        const AGAIN: &str = "polled after it was ready";
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { waiting } => {
                    let (leaf, req) = &mut **waiting;
                    ready!(leaf.poll_ready(cx))?;
                    let req = req.take().expect(AGAIN);
                    let future = leaf.call(req);
                    state.set(State::Called { future });
                }
                StateProj::Called { future } => return future.poll(cx),
                StateProj::Failed { error } => {
                    return Poll::Ready(Err(error.take().expect(AGAIN)));
                }
            }
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
