use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
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
    #[project = StateProj]
    enum State<S: Service<R>, R> {
        // A clone, and a clone is not ready.
        Waiting { leaf: S, req: Option<R> },
        Called { #[pin] future: S::Future },
    }
}

impl<S: Service<R>, R> ResponseFuture<S, R> {
    pub(crate) fn new(leaf: S, req: R) -> Self {
        Self {
            state: State::Waiting {
                leaf,
                req: Some(req),
            },
        }
    }
}

impl<S: Service<R>, R> Future for ResponseFuture<S, R> {
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            match state.as_mut().project() {
                StateProj::Waiting { leaf, req } => {
                    ready!(leaf.poll_ready(cx))?;
                    let req = req.take().expect("polled after it was ready");
                    let future = leaf.call(req);
                    state.set(State::Called { future });
                }
                StateProj::Called { future } => return future.poll(cx),
            }
        }
    }
}

impl<S: Service<R>, R> fmt::Debug for ResponseFuture<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
