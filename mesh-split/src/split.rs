use crate::{
    Leaf, NoLeaves, ResponseFuture, SharedCounter, SplitHandle, Sticky,
    leaf::Table,
    watch::{Local, Watch},
};
use std::{
    fmt,
    task::{Context, Poll},
};
use tower_service::Service;

/// Shares calls out among leaves by weight.
///
/// See the [crate documentation](crate) for examples. Clones take turns from one sequence. A
/// clone keeps the leaves of its last call alive until its next.
pub struct Split<S> {
    local: Local<S>,
    usable: Option<fn(&S) -> bool>,
}

impl<S> Split<S> {
    /// A split among `leaves`: pairs of service and weight, or [`Leaf`]s.
    pub fn new<L: Into<Leaf<S>>>(leaves: impl IntoIterator<Item = L>) -> Result<Self, NoLeaves> {
        Self::with_counter(&SharedCounter::new(), leaves)
    }

    /// Makes a split that is exact together with all splits of the same leaves and `counter`.
    pub fn with_counter<L: Into<Leaf<S>>>(
        counter: &SharedCounter,
        leaves: impl IntoIterator<Item = L>,
    ) -> Result<Self, NoLeaves> {
        let table = Table::build(leaves, |shares| counter.turns(shares))?;
        Ok(Self {
            local: Local::new(Watch::new(table, counter.clone())),
            usable: None,
        })
    }

    /// Skips leaves of which `usable` is false at the moment of a call, unless it is of all.
    ///
    /// It is asked on the request path, so it should answer from memory.
    #[must_use]
    pub fn available_if(mut self, usable: fn(&S) -> bool) -> Self {
        self.usable = Some(usable);
        self
    }

    /// Keeps requests of one subject with one leaf; those of which `subject` is `None` take
    /// turns.
    ///
    /// [`subject`](crate::subject) makes a number of bytes.
    pub fn sticky_by<R, F>(self, subject: F) -> Sticky<S, F>
    where
        F: Fn(&R) -> Option<u64>,
    {
        Sticky::new(self, subject)
    }

    /// Replaces leaves and weights while this split and its clones run.
    pub fn handle(&self) -> SplitHandle<S> {
        SplitHandle::new(self.local.watch().clone())
    }
}

impl<S: Clone> Split<S> {
    /// Sends a request of `subject` to its leaf, or to the one whose turn it is.
    pub(crate) fn send<R>(&mut self, subject: Option<u64>, req: R) -> ResponseFuture<S, R>
    where
        S: Service<R>,
    {
        let leaf = self.local.table().choose(subject, self.usable);
        ResponseFuture::new(self.local.leaf(leaf), req)
    }
}

impl<S, R> Service<R> for Split<S>
where
    S: Service<R> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, R>;

    /// Always ready: to wait for one leaf here would be to have chosen it.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: R) -> Self::Future {
        self.send(None, req)
    }
}

impl<S> Clone for Split<S> {
    fn clone(&self) -> Self {
        Self {
            local: self.local.clone(),
            usable: self.usable,
        }
    }
}

impl<S> fmt::Debug for Split<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split").finish_non_exhaustive()
    }
}
