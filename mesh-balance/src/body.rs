use crate::endpoint::InFlight;
use bytes::Buf;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use mesh_core::{
    Class, Classify, DefaultClassify, End, Fault, Head, Route, RpcKind, StatusReader,
    hot::CallClock,
};
use pin_project_lite::pin_project;
use std::{
    error::Error,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

/// State of a request that its response updates the endpoint with.
pub(crate) struct Exchange {
    in_flight: InFlight,
    classify: Option<Arc<dyn Classify>>,
    kind: RpcKind,
    /// Of protocols that have their status in the body.
    reader: Option<Box<StatusReader>>,
    status: StatusCode,
    class: Option<Class>,
}

impl Exchange {
    pub(crate) fn new<B>(req: &Request<B>, in_flight: InFlight) -> Self {
        Self {
            in_flight,
            classify: Route::of(req).and_then(Route::own_classify).cloned(),
            kind: RpcKind::of(req),
            reader: None,
            status: StatusCode::OK,
            class: None,
        }
    }

    /// Records an error in place of a response.
    pub(crate) fn failed(mut self, error: &(dyn Error + 'static)) {
        // The endpoint is not to blame for limits and faults of this program, nor for a caller
        // that breaks off its request.
        if !matches!(
            Fault::of(error),
            Some(Fault::Overloaded | Fault::Injected | Fault::Client)
        ) {
            self.in_flight.outcome(Class::Failure);
        }
    }

    /// Records the response head. Returns the exchange if the body has not ended; the request stays
    /// in flight until it has.
    pub(crate) fn answered<B: Body>(mut self, rsp: &Response<B>) -> Option<Self> {
        self.status = rsp.status();
        self.classify(rsp.headers(), None);
        if rsp.body().is_end_stream() {
            self.ended(End::Trailers(None));
            return None;
        }
        if self.class.is_none() {
            self.reader = self.kind.status_reader(rsp.headers());
        }
        Some(self)
    }

    fn framed<D: Buf>(&mut self, frame: &Frame<D>) {
        self.in_flight.answered();
        if let Some(data) = frame.data_ref() {
            self.in_flight.lives();
            if let Some(reader) = &mut self.reader {
                reader.read(data);
            }
        }
    }

    fn ended(&mut self, end: End<'_>) {
        // A body that breaks off is a failure of the endpoint, whatever the status.
        let broken = matches!(end, End::Error(_));
        if !broken {
            self.in_flight.answered();
        }
        if self.class.is_none() || broken {
            // The head left the class open and is not kept, so the trailers decide alone.
            let reader = self.reader.take();
            let end = match end {
                End::Trailers(None) => {
                    End::Trailers(reader.as_ref().and_then(|reader| reader.trailers()))
                }
                end => end,
            };
            self.classify(&HeaderMap::new(), Some(end));
        }
    }

    fn classify(&mut self, headers: &HeaderMap, end: Option<End<'_>>) {
        let head = Head::new(self.kind.has_grpc_status(), self.status, headers);
        let class = match &self.classify {
            Some(classify) => classify.classify(&head, end),
            None => DefaultClassify.classify(&head, end),
        };
        if let Some(class) = class {
            self.in_flight.outcome(class);
            self.class = Some(class);
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("in_flight", &self.in_flight)
            .field("class", &self.class)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// A response body. Its request is in flight until the body ends or is dropped.
    ///
    /// Size hint and trailers are those of the inner body.
    #[derive(Debug)]
    pub struct BalanceBody<B> {
        #[pin]
        inner: B,
        exchange: Option<Exchange>,
    }
}

impl<B> BalanceBody<B> {
    pub(crate) fn new(inner: B, exchange: Option<Exchange>) -> Self {
        Self { inner, exchange }
    }

    /// The inner body, to change it.
    pub fn get_mut(&mut self) -> &mut B {
        &mut self.inner
    }
}

impl<B: Body> Body for BalanceBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let _clock = CallClock::begin();
        let frame = ready!(this.inner.as_mut().poll_frame(cx));
        if let Some(exchange) = this.exchange {
            let end = match &frame {
                Some(Ok(frame)) => {
                    exchange.framed(frame);
                    let trailers = frame.trailers_ref();
                    let ended = trailers.is_some() || this.inner.is_end_stream();
                    ended.then_some(End::Trailers(trailers))
                }
                Some(Err(_)) => Some(End::Error(Fault::Reset)),
                None => Some(End::Trailers(None)),
            };
            if let Some(end) = end {
                exchange.ended(end);
                *this.exchange = None;
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
