use crate::{
    Event, EventId, EventKind, Labels, Peer, RequestInit, ResponseEnd, ResponseInit,
    describe::{destination, number, request, route_labels, source},
    exchange_state::ExchangeState,
    filter::Facts,
    layer::Point,
    redact::Redact,
    tap::Subscription,
};
use bytes::Buf;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use mesh_core::{Attempt, Conn, DefaultClassify, Direction, Fault, Route, RpcKind, StatusReader};
use std::{any::Any, borrow::Cow, sync::Arc, time::Duration};
use tokio::time::Instant;

/// HTTP/2's CANCEL: the stream is no longer needed.
const CANCEL: u32 = 8;

/// A watched exchange. Dropping it is an end, too.
#[derive(Debug)]
pub(crate) struct Live {
    point: Arc<Point>,
    watchers: Vec<Watcher>,
    /// Shared with the tap above the retries or, there, with those of the attempts.
    exchange_state: Option<ExchangeState>,
    attempt: Option<Attempt>,
    direction: Direction,
    source: Peer,
    destination: Peer,
    route: Labels,
    /// The time after which the route gives up on a response.
    limit: Option<Duration>,
    kind: RpcKind,
    /// Of protocols that have their status in the body.
    reader: Option<Box<StatusReader>>,
    began: Instant,
    request: RequestInit,
    response: Option<ResponseInit>,
    bytes: u64,
    grpc_status: Option<u16>,
    over: bool,
    /// The fault that the response stands for, if its maker says so.
    fault: Option<Fault>,
    /// The end, while the retries above may yet say something of it.
    pending: Option<ResponseEnd>,
}

#[derive(Debug)]
struct Watcher {
    subscription: Arc<Subscription>,
    /// Once the filter has decided; until then its events are held back.
    id: Option<EventId>,
}

impl Live {
    /// Shows that `req` is being sent, to those who want to know.
    #[cold]
    pub(crate) fn begin<B>(point: &Arc<Point>, req: &mut Request<B>) -> Option<Box<Self>> {
        let subscriptions = point.registry.subscriptions();
        let exchange_state = if point.exchange {
            let exchange_state = ExchangeState::default();
            req.extensions_mut().insert(exchange_state.clone());
            Some(exchange_state)
        } else {
            req.extensions().get::<ExchangeState>().cloned()
        };
        let attempt = Attempt::of(req).cloned();
        if let (Some(exchange_state), false) = (&exchange_state, point.exchange) {
            exchange_state.begin(number(attempt.as_ref()));
        }
        let mut live = Self::new(point, req, exchange_state, attempt);
        let facts = live.facts(None);
        let undecided = subscriptions
            .iter()
            .filter(|subscription| subscription.filter().holds(&facts) != Some(false))
            .map(|subscription| Watcher {
                subscription: subscription.clone(),
                id: None,
            })
            .collect();
        live.watchers = undecided;
        if live.watchers.is_empty() && live.exchange_state.is_none() {
            return None;
        }
        if live.wants_headers() {
            live.request.headers = Some(point.registry.redact().copy(req.headers()));
            live.request.query = req.uri().query().map(Redact::query);
        }
        // Of a whole exchange nothing is said before it is known what its attempts showed.
        if !point.exchange {
            live.show(None);
        }
        Some(Box::new(live))
    }

    fn new<B>(
        point: &Arc<Point>,
        req: &Request<B>,
        exchange_state: Option<ExchangeState>,
        attempt: Option<Attempt>,
    ) -> Self {
        let conn = req.extensions().get::<Conn>();
        let route = Route::of(req);
        let direction = point.direction.or(conn.map(|conn| conn.direction));
        let direction = direction.unwrap_or(Direction::Outbound);
        Self {
            point: point.clone(),
            watchers: Vec::new(),
            route: route_labels(route, number(attempt.as_ref())),
            exchange_state,
            attempt,
            direction,
            source: source(point, conn),
            destination: destination(point, conn, direction),
            limit: route.and_then(|route| route.timeouts().head),
            kind: RpcKind::of(req),
            reader: None,
            began: Instant::now(),
            request: request(req),
            response: None,
            bytes: 0,
            grpc_status: None,
            over: false,
            fault: None,
            pending: None,
        }
    }

    /// Shows the response's head; returns true if a watcher wants further events.
    pub(crate) fn respond<B>(&mut self, response: &Response<B>) -> bool {
        if let (Some(exchange_state), true) = (&self.exchange_state, self.point.exchange) {
            exchange_state.answer(response.extensions().get().copied());
        }
        if self.is_shown_below() {
            self.over = true;
            return false;
        }
        self.complete();
        self.grpc_status = self.grpc_status(response.headers());
        self.reader = self.kind.status_reader(response.headers());
        self.fault = response.extensions().get().copied();
        let headers = self.wants_headers();
        self.response = Some(ResponseInit {
            since_request: self.began.elapsed(),
            status: response.status(),
            version: Some(response.version()),
            headers: headers.then(|| self.copy(response.headers())),
        });
        self.show(None);
        !self.watchers.is_empty()
    }

    /// An error came instead of a response.
    pub(crate) fn failed(mut self: Box<Self>, error: &dyn Any) {
        if self.is_shown_below() {
            self.over = true;
            return;
        }
        self.complete();
        let fault = (self.point.inspect)(error).unwrap_or(Fault::Unexpected);
        self.end(ResponseEnd {
            reason: Some(Cow::Borrowed(fault.as_str())),
            ..ResponseEnd::default()
        });
        // The end is shown when the decision about a retry is known. The exchange_state it waits in is
        // removed, as the two would keep each other alive.
        if self.pending.is_some()
            && !self.point.exchange
            && let Some(exchange_state) = self.exchange_state.take()
        {
            exchange_state.fail(self);
        }
    }

    /// A frame of the response body came. Whether it was the last.
    pub(crate) fn frame<D: Buf>(&mut self, frame: &Frame<D>) -> bool {
        if let Some(data) = frame.data_ref() {
            self.bytes = self.bytes.saturating_add(data.remaining() as u64);
            if let Some(reader) = &mut self.reader {
                reader.read(data);
            }
        }
        let Some(trailers) = frame.trailers_ref() else {
            return false;
        };
        self.ended(Some(trailers));
        true
    }

    /// The response body was read to its end.
    pub(crate) fn ended(&mut self, trailers: Option<&HeaderMap>) {
        let reader = self.reader.take();
        let trailers = trailers.or_else(|| reader.as_ref()?.trailers());
        if let Some(status) = trailers.and_then(|trailers| self.grpc_status(trailers)) {
            self.grpc_status.get_or_insert(status);
        }
        let trailers = trailers.filter(|_| self.wants_headers());
        self.end(ResponseEnd {
            trailers: trailers.map(|trailers| self.copy(trailers)),
            ..ResponseEnd::default()
        });
    }

    /// The response body broke.
    pub(crate) fn broke(&mut self, error: &dyn Any) {
        let fault = (self.point.inspect)(error).unwrap_or(Fault::Reset);
        self.end(ResponseEnd {
            reason: Some(Cow::Borrowed(fault.as_str())),
            ..ResponseEnd::default()
        });
    }

    fn end(&mut self, end: ResponseEnd) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let since_request = self.began.elapsed();
        let end = ResponseEnd {
            since_request,
            since_response: self
                .response
                .as_ref()
                .map(|response| since_request.saturating_sub(response.since_request)),
            bytes: self.bytes,
            grpc_status: self.grpc_status,
            reason: end
                .reason
                .or_else(|| self.fault.map(|fault| Cow::Borrowed(fault.as_str()))),
            ..end
        };
        // A response that is over with its head, or whose trailers a retry layer looks at, has
        // yet to be judged; so has an error.
        self.pending = Some(end);
        if !self.is_pending() {
            self.tell_end();
        }
    }

    /// Returns true if the end waits for the response or error of the exchange above.
    pub(crate) fn is_pending(&self) -> bool {
        let above = self
            .exchange_state
            .as_ref()
            .filter(|_| !self.point.exchange);
        self.pending.is_some() && above.is_some_and(|exchange_state| !exchange_state.is_answered())
    }

    fn tell_end(&mut self) {
        if let Some(mut end) = self.pending.take() {
            let skipped = match &self.exchange_state {
                Some(exchange_state) => exchange_state.skipped(),
                None => self.attempt.as_ref().and_then(Attempt::skipped),
            };
            end.not_retried = skipped.map(|reason| Cow::Borrowed(reason.as_str()));
            self.show(Some(&end));
        }
    }

    /// Sends what is new to those whose filters have decided, and all there is to those whose
    /// filters decide now.
    fn show(&mut self, end: Option<&ResponseEnd>) {
        let mut watchers = std::mem::take(&mut self.watchers);
        watchers.retain_mut(|watcher| self.show_to(watcher, end));
        self.watchers = watchers;
    }

    /// Returns true if the watcher wants further events and there is room for them.
    fn show_to(&self, watcher: &mut Watcher, end: Option<&ResponseEnd>) -> bool {
        let subscription = &*watcher.subscription;
        let registry = &self.point.registry;
        let headers = subscription.filter().wants_headers();
        let known = watcher.id;
        let id = match known {
            Some(id) => id,
            None => match subscription.filter().holds(&self.facts(end)) {
                None => return true,
                Some(false) => return false,
                Some(true) => match subscription.take(registry) {
                    Some(id) => *watcher.id.insert(id),
                    None => return false,
                },
            },
        };
        // A watcher that has just decided has not seen the earlier events.
        if known.is_none() {
            let mut request = self.request.clone();
            request.headers = request.headers.filter(|_| headers);
            request.query = request.query.filter(|_| headers);
            if !registry.send(subscription, self.event(id, EventKind::Request(request))) {
                // Without its beginning, the rest of an exchange makes no sense.
                return false;
            }
        }
        if let Some(response) = &self.response
            && (known.is_none() || end.is_none())
        {
            let mut response = response.clone();
            response.headers = response.headers.filter(|_| headers);
            registry.send(subscription, self.event(id, EventKind::Response(response)));
        }
        if let Some(end) = end {
            let mut end = end.clone();
            end.trailers = end.trailers.filter(|_| headers);
            registry.send(subscription, self.event(id, EventKind::End(end)));
        }
        true
    }

    fn event(&self, id: EventId, kind: EventKind) -> Event {
        Event {
            id,
            direction: self.direction,
            source: self.source.clone(),
            destination: self.destination.clone(),
            route: self.route.clone(),
            kind,
        }
    }

    fn facts<'a>(&'a self, end: Option<&'a ResponseEnd>) -> Facts<'a> {
        let response = self.response.as_ref();
        let retried = match &self.exchange_state {
            Some(exchange_state) if self.point.exchange => {
                end.map(|_| exchange_state.attempts() > 1)
            }
            _ => Some(number(self.attempt.as_ref()) > 1),
        };
        Facts {
            direction: self.direction,
            source: &self.source,
            destination: &self.destination,
            route: &self.route,
            request: &self.request,
            retried,
            response: response.map(|rsp| (rsp.status.as_u16(), rsp.since_request)),
            end,
        }
    }

    fn wants_headers(&self) -> bool {
        let mut watchers = self.watchers.iter();
        watchers.any(|watcher| watcher.subscription.filter().wants_headers())
    }

    fn copy(&self, headers: &HeaderMap) -> HeaderMap {
        self.point.registry.redact().copy(headers)
    }

    fn grpc_status(&self, headers: &HeaderMap) -> Option<u16> {
        self.kind
            .has_grpc_status()
            .then(|| DefaultClassify::grpc_status(headers))?
    }

    /// Returns true for a whole exchange that one of its attempts has shown already.
    fn is_shown_below(&self) -> bool {
        self.point.exchange
            && self
                .exchange_state
                .as_ref()
                .is_some_and(ExchangeState::is_shown)
    }

    /// Marks the exchange as complete, on behalf of an attempt.
    fn complete(&self) {
        if let (Some(exchange_state), false) = (&self.exchange_state, self.point.exchange) {
            exchange_state.show();
        }
    }

    /// Shows that the caller dropped the response.
    fn cancelled(&mut self) {
        let waited = self.began.elapsed();
        // The route's clock started a little before ours, and timers count milliseconds.
        let elapsed = self.response.is_none()
            && self
                .limit
                .is_some_and(|limit| waited + Duration::from_millis(1) >= limit);
        let attempts = self
            .exchange_state
            .as_ref()
            .map_or(0, ExchangeState::attempts);
        if self.is_shown_below() || (self.point.exchange && !elapsed && attempts > 0) {
            // An attempt told of it; we know no better.
            return;
        }
        if elapsed {
            self.complete();
        }
        self.end(ResponseEnd {
            reset_code: Some(CANCEL),
            reason: elapsed.then_some(Cow::Borrowed(Fault::Elapsed.as_str())),
            ..ResponseEnd::default()
        });
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if let (Some(exchange_state), true) = (&self.exchange_state, self.point.exchange) {
            exchange_state.decided();
        }
        if !self.over {
            self.cancelled();
        }
        self.tell_end();
    }
}
