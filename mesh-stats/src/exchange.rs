use super::{Outcome, Status, held::Held, series::Series};
use bytes::Buf;
use http::{HeaderMap, Response, StatusCode};
use mesh_core::{
    Class, Classify, DefaultClassify, End, Fault, Head, Route, RpcKind, StatusReader,
    hot::CallClock,
};
use std::{any::Any, sync::Arc, time::Instant};

/// Position of a counting layer in the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Effective,
    Actual,
    Endpoint,
}

/// Maps an error of the service, or of its response body, to a fault.
pub(super) type Inspect = fn(&dyn Any) -> Option<Fault>;

fn clock() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// A request on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    entry: Held,
    level: Level,
    kind: RpcKind,
    inspect: Inspect,
    /// Time of dispatch, if it is needed.
    dispatched: Option<Instant>,
}

impl Exchange {
    pub(super) fn dispatch(entry: Held, level: Level, kind: RpcKind, inspect: Inspect) -> Self {
        entry.series(level).request();
        Self {
            entry,
            level,
            kind,
            inspect,
            dispatched: (level != Level::Actual).then(|| CallClock::arriving(clock)),
        }
    }

    /// An error came instead of a response.
    pub(super) fn failed(&self, error: &dyn Any) {
        let fault = (self.inspect)(error).unwrap_or(Fault::Unexpected);
        // No response, as of a caller that leaves: nobody it asked has failed.
        if fault == Fault::Client {
            return;
        }
        let outcome = Partial {
            status: Status::None,
            grpc_status: None,
            class: Some(Class::Failure),
        };
        self.count(outcome, Some(fault));
    }

    /// The response's head is here; what is left to count, unless the body is `over` already.
    pub(super) fn respond<B>(self, response: &Response<B>, over: bool) -> Option<Stream> {
        let (status, headers) = (response.status(), response.headers());
        let head = Head::new(self.kind.has_grpc_status(), status, headers);
        let mut class = self.classify(&head, None);
        if over && class.is_none() {
            class = self.classify(&head, Some(End::Trailers(None)));
        }
        let outcome = Partial {
            status: Status::Code(status.as_u16()),
            grpc_status: self.grpc_status(Some(headers)),
            class,
        };
        // Only a failure is worth the search.
        let fault = match class {
            Some(Class::Failure) => response.extensions().get().copied(),
            _ => None,
        };
        if over {
            self.frame(outcome.status);
            self.count(outcome, fault);
            return None;
        }
        Some(Stream {
            undecided: class.is_none().then(|| Undecided {
                status,
                headers: self.own_classify().map(|_| Box::new(headers.clone())),
            }),
            reader: match outcome.grpc_status {
                None => self.kind.status_reader(headers),
                Some(_) => None,
            },
            outcome,
            over: false,
            exchange: self,
        })
    }

    fn own_classify(&self) -> Option<&Arc<dyn Classify>> {
        self.entry.route().and_then(Route::own_classify)
    }

    fn classify(&self, head: &Head<'_>, end: Option<End<'_>>) -> Option<Class> {
        match self.own_classify() {
            Some(classify) => classify.classify(head, end),
            None => DefaultClassify.classify(head, end),
        }
    }

    fn grpc_status(&self, headers: Option<&HeaderMap>) -> Option<u16> {
        let headers = headers.filter(|_| self.kind.has_grpc_status())?;
        DefaultClassify::grpc_status(headers)
    }

    /// A frame came, or the end of a body without any.
    fn frame(&self, status: Status) {
        if let Some(dispatched) = self.dispatched {
            let now = match self.level {
                // Below may be a program that took its time after its own calls had returned.
                Level::Effective => clock(),
                _ => CallClock::leaving(clock),
            };
            let latency = now.saturating_duration_since(dispatched);
            self.series().latency(status, latency);
        }
    }

    fn count(&self, outcome: Partial, fault: Option<Fault>) {
        // Without a class there is nothing to count it under.
        let Some(class) = outcome.class else { return };
        self.series().response(Outcome {
            status: outcome.status,
            grpc_status: outcome.grpc_status,
            class,
            fault,
        });
    }

    fn series(&self) -> &Series {
        self.entry.series(self.level)
    }
}

/// The part of an [`Outcome`] that is known before the end.
#[derive(Clone, Copy, Debug)]
struct Partial {
    status: Status,
    grpc_status: Option<u16>,
    class: Option<Class>,
}

/// Inputs for classifying at the end what the head left open.
#[derive(Debug)]
struct Undecided {
    status: StatusCode,
    /// Only a route's own idea of what a failure is may want them: the default one has looked at
    /// them already.
    headers: Option<Box<HeaderMap>>,
}

/// A response whose end is still to come. Dropping it is an end, too.
#[derive(Debug)]
pub(super) struct Stream {
    exchange: Exchange,
    outcome: Partial,
    undecided: Option<Undecided>,
    /// Of protocols that have their status in the body.
    reader: Option<Box<StatusReader>>,
    over: bool,
}

impl Stream {
    /// A frame came, or the end of a body without any.
    pub(super) fn frame(&mut self) {
        self.exchange.frame(self.outcome.status);
        self.exchange.dispatched = None;
    }

    /// A frame came with this.
    pub(super) fn read(&mut self, data: &impl Buf) {
        if let Some(reader) = &mut self.reader {
            reader.read(data);
        }
    }

    /// The body was read to its end.
    pub(super) fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.frame();
        let reader = self.reader.take();
        self.ended(trailers.or_else(|| reader.as_ref()?.trailers()));
    }

    fn ended(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(status) = self.exchange.grpc_status(trailers) {
            self.outcome.grpc_status.get_or_insert(status);
        }
        self.decide(End::Trailers(trailers));
        self.finish(None);
    }

    /// The body broke.
    pub(super) fn broke(&mut self, error: &dyn Any) {
        // Of a body that breaks without saying why, the peer is the likeliest cause.
        let fault = (self.exchange.inspect)(error).unwrap_or(Fault::Reset);
        self.outcome.class = Some(Class::Failure);
        self.finish(Some(fault));
    }

    /// Asks for the class once more, if the head did not decide it.
    fn decide(&mut self, end: End<'_>) {
        if let Some(Undecided { status, headers }) = self.undecided.take() {
            let headers = headers.unwrap_or_default();
            let head = Head::new(self.exchange.kind.has_grpc_status(), status, &headers);
            self.outcome.class = self.exchange.classify(&head, Some(end));
        }
    }

    fn finish(&mut self, fault: Option<Fault>) {
        if !std::mem::replace(&mut self.over, true) {
            self.exchange.count(self.outcome, fault);
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let reader = self.reader.take();
        match reader.as_ref().and_then(|reader| reader.trailers()) {
            // Nothing was left to read but the end itself.
            Some(trailers) => self.ended(Some(trailers)),
            None => {
                self.decide(End::Dropped);
                self.finish(None);
            }
        }
    }
}
