use super::{Outcome, Status, table::Entry};
use http::{HeaderMap, Response};
use mesh_core::{BoxError, Class, Classify, DefaultClassify, End, Fault, Head};
use std::{any::Any, sync::Arc};
use tokio::time::Instant;

/// Where in the stack something is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Effective,
    Actual,
    Endpoint,
}

/// What an error of the service, or of its response body, means.
pub(super) type Inspect = fn(&dyn Any) -> Option<Fault>;

/// The fault that the usual error types state.
pub(super) fn fault_of(error: &dyn Any) -> Option<Fault> {
    if let Some(error) = error.downcast_ref::<BoxError>() {
        return Fault::of(&**error);
    }
    error.downcast_ref::<Fault>().copied()
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    entry: Arc<Entry>,
    level: Level,
    grpc: bool,
    inspect: Inspect,
    /// When it was dispatched, where somebody wants to know.
    dispatched: Option<Instant>,
}

impl Exchange {
    pub(super) fn dispatch(entry: Arc<Entry>, level: Level, grpc: bool, inspect: Inspect) -> Self {
        entry.series(level).request();
        Self {
            entry,
            level,
            grpc,
            inspect,
            dispatched: (level != Level::Actual).then(Instant::now),
        }
    }

    /// An error came instead of a response.
    pub(super) fn failed(&self, error: &dyn Any) {
        let fault = (self.inspect)(error).unwrap_or(Fault::Unexpected);
        self.count(Outcome {
            fault: Some(fault),
            ..Outcome::new(Status::None, Class::Failure)
        });
    }

    /// The response's head is here.
    pub(super) fn respond<B>(self, response: &Response<B>) -> Stream {
        let head = Head::new(self.grpc, response.status(), response.headers());
        let class = self.classify(&head, None);
        let grpc_status = self.grpc_status(Some(response.headers()));
        Stream {
            status: Status::Code(response.status().as_u16()),
            grpc_status,
            class,
            // Only what the head left undecided needs the head again.
            head: class.is_none().then(|| {
                let mut head = Response::new(());
                *head.status_mut() = response.status();
                *head.headers_mut() = response.headers().clone();
                Box::new(head)
            }),
            over: false,
            exchange: self,
        }
    }

    fn classify(&self, head: &Head<'_>, end: Option<End<'_>>) -> Option<Class> {
        match self.entry.route() {
            Some(route) => route.classify().classify(head, end),
            None => DefaultClassify.classify(head, end),
        }
    }

    fn grpc_status(&self, headers: Option<&HeaderMap>) -> Option<u16> {
        let headers = headers.filter(|_| self.grpc)?;
        DefaultClassify::grpc_status(headers)
    }

    fn count(&self, outcome: Outcome) {
        self.entry.series(self.level).response(outcome);
    }
}

/// A response whose end is still to come. Dropping it is an end, too.
#[derive(Debug)]
pub(super) struct Stream {
    exchange: Exchange,
    status: Status,
    grpc_status: Option<u16>,
    class: Option<Class>,
    head: Option<Box<Response<()>>>,
    over: bool,
}

impl Stream {
    /// A frame came, or the end of a body without any.
    pub(super) fn frame(&mut self) {
        if let Some(dispatched) = self.exchange.dispatched.take() {
            let series = self.exchange.entry.series(self.exchange.level);
            series.latency(self.status, dispatched.elapsed());
        }
    }

    /// The body was read to its end.
    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.frame();
        if let Some(status) = self.exchange.grpc_status(trailers) {
            self.grpc_status.get_or_insert(status);
        }
        let class = self.class.or_else(|| self.decide(End::Trailers(trailers)));
        self.finish(class, None);
    }

    /// The body broke.
    pub(super) fn broke(&mut self, error: &dyn Any) {
        // Of a body that breaks without saying why, the peer is the likeliest cause.
        let fault = (self.exchange.inspect)(error).unwrap_or(Fault::Reset);
        self.finish(Some(Class::Failure), Some(fault));
    }

    fn decide(&self, end: End<'_>) -> Option<Class> {
        let head = self.head.as_ref()?;
        let head = Head::new(self.exchange.grpc, head.status(), head.headers());
        self.exchange.classify(&head, Some(end))
    }

    fn finish(&mut self, class: Option<Class>, fault: Option<Fault>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        // Without a class there is nothing to count it under.
        if let Some(class) = class {
            self.exchange.count(Outcome {
                status: self.status,
                grpc_status: self.grpc_status,
                class,
                fault,
            });
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.over {
            let class = self.class.or_else(|| self.decide(End::Dropped));
            self.finish(class, None);
        }
    }
}
