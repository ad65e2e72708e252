use crate::{
    FaultBody, Injected, InjectedReset,
    faults::{Decision, Ending},
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use mesh_core::{BoxError, Fault, RpcKind};
use pin_project_lite::pin_project;
use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::Sleep;
use tower_service::Service;

pin_project! {
    /// The response of [`Faulty`](crate::Faulty).
    pub struct ResponseFuture<S: Service<Request<B>>, B> {
        #[pin]
        state: State<S, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S: Service<Request<B>>, B> {
        Passing { #[pin] future: S::Future },
        // Boxed, as it is rare: a future is moved through every layer above.
        Injected { exchange: Pin<Box<Exchange<S, B>>> },
    }
}

pin_project! {
    /// A request that something is injected into.
    struct Exchange<S: Service<Request<B>>, B> {
        // Made at the first poll, so that a future can be made outside a runtime.
        #[pin]
        sleep: Option<Sleep>,
        // Taken once the delay is over; an injected error or reset has none.
        call: Option<(S, Request<B>)>,
        #[pin]
        future: Option<S::Future>,
        decision: Decision,
        // The content type of an injected status of gRPC.
        content_type: HeaderValue,
    }
}

impl<S: Service<Request<B>>, B> ResponseFuture<S, B> {
    pub(crate) fn passing(future: S::Future) -> Self {
        Self {
            state: State::Passing { future },
        }
    }

    pub(crate) fn injected(decision: Decision, ready: S, req: Request<B>) -> Self {
        let exchange = Box::pin(Exchange {
            sleep: None,
            content_type: content_type(&req),
            call: decision.ending.is_none().then_some((ready, req)),
            future: None,
            decision,
        });
        Self {
            state: State::Injected { exchange },
        }
    }
}

impl<S, B, RB> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    type Output = Result<Response<FaultBody<RB>>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Passing { future } => match future.poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(rsp)) => Poll::Ready(Ok(rsp.map(FaultBody::passed))),
                Poll::Ready(Err(error)) => Poll::Ready(Err(error.into())),
            },
            StateProj::Injected { exchange } => exchange.as_mut().poll(cx),
        }
    }
}

impl<S, B, RB> Exchange<S, B>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
{
    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<FaultBody<RB>>, BoxError>> {
        let mut this = self.project();
        // A range of delays may begin at zero, which needs no timer.
        if let Some(delay) = this.decision.delay.take()
            && !delay.is_zero()
        {
            this.sleep.set(Some(tokio::time::sleep(delay)));
        }
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
            this.sleep.set(None);
        }
        let injected = this.decision.injected;
        if let Some(ending) = this.decision.ending {
            return Poll::Ready(end(ending, injected, this.content_type.clone()));
        }
        if let Some((mut service, req)) = this.call.take() {
            this.future.set(Some(service.call(req)));
        }
        let future = this.future.as_pin_mut();
        let future = future.expect("it is not polled after it was ready");
        let mut rsp = ready!(future.poll(cx)).map_err(Into::into)?;
        rsp.extensions_mut().insert(injected);
        Poll::Ready(Ok(rsp.map(FaultBody::passed)))
    }
}

/// The content type of a response of gRPC to `req`: gRPC-web keeps its own.
fn content_type<B>(req: &Request<B>) -> HeaderValue {
    let kind = req.headers().get(CONTENT_TYPE);
    let is_web =
        |kind: &&HeaderValue| RpcKind::of_content_type(kind.as_bytes()) == RpcKind::GrpcWeb;
    let kind = kind.filter(is_web).cloned();
    kind.unwrap_or(HeaderValue::from_static("application/grpc"))
}

fn end<RB>(
    ending: Ending,
    injected: Injected,
    content_type: HeaderValue,
) -> Result<Response<FaultBody<RB>>, BoxError> {
    let mut rsp = Response::new(FaultBody::empty());
    match ending {
        Ending::Reset => return Err(InjectedReset(injected).into()),
        Ending::Status(status) => *rsp.status_mut() = status,
        Ending::GrpcStatus(code) => {
            *rsp.status_mut() = StatusCode::OK;
            let headers = rsp.headers_mut();
            headers.insert(CONTENT_TYPE, content_type);
            headers.insert(HeaderName::from_static("grpc-status"), code.into());
            let message = HeaderValue::from_static("injected on purpose");
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
    }
    rsp.extensions_mut().insert(injected);
    rsp.extensions_mut().insert(Fault::Injected);
    Ok(rsp)
}

impl<S: Service<Request<B>>, B> fmt::Debug for ResponseFuture<S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
