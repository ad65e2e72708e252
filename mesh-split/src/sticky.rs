use crate::{ResponseFuture, Split, SplitHandle};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower_service::Service;

/// A [`Split`] that keeps each subject with its leaf.
///
/// Made by [`Split::sticky_by`].
#[derive(Clone)]
pub struct Sticky<S, F> {
    split: Split<S>,
    subject: F,
}

impl<S, F> Sticky<S, F> {
    pub(crate) fn new(split: Split<S>, subject: F) -> Self {
        Self { split, subject }
    }

    /// Replaces leaves and weights while this split and its clones run.
    pub fn handle(&self) -> SplitHandle<S> {
        self.split.handle()
    }
}

impl<S, F, R> Service<R> for Sticky<S, F>
where
    S: Service<R> + Clone,
    F: Fn(&R) -> Option<u64>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: R) -> Self::Future {
        let subject = (self.subject)(&req);
        ResponseFuture::new(self.split.choose(subject), req)
    }
}

impl<S, F> fmt::Debug for Sticky<S, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sticky").finish_non_exhaustive()
    }
}
