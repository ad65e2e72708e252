use crate::{Destination, Watch};
use std::{
    sync::Arc,
    task::{Context, Poll},
};
use tokio::task::AbortHandle;
use tower_service::Service;

/// A task that follows a watch until the last clone of this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Following {
    _task: Arc<Task>,
}

#[derive(Debug)]
struct Task(AbortHandle);

impl Following {
    /// Gives `apply` every value of `watch`, the present one first.
    pub(super) fn start(
        mut watch: Watch<Destination>,
        mut apply: impl FnMut(&Destination) + Send + 'static,
    ) -> Self {
        let task = tokio::spawn(async move {
            let mut next = watch.ready().await;
            while let Some(destination) = next {
                apply(&destination);
                next = watch.changed().await;
            }
        });
        Self {
            _task: Arc::new(Task(task.abort_handle())),
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A service that keeps what it was made of up to date for as long as it lives.
#[derive(Clone, Debug)]
pub struct Followed<S> {
    inner: S,
    _following: Following,
}

impl<S> Followed<S> {
    pub(super) fn new(inner: S, following: Following) -> Self {
        Self {
            inner,
            _following: following,
        }
    }

    /// The inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, to change it.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, without this one. Nothing keeps it up to date unless another clone of
    /// this one exists.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S: Service<R>, R> Service<R> for Followed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, req: R) -> S::Future {
        self.inner.call(req)
    }
}
