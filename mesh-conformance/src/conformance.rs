use crate::{
    Law, Mock, Shape, StrictBody,
    drive::{Frames, Stopped, Task},
    exchange::RequestId,
    law::{BoxError, violated},
    laws,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, Version, request};
use http_body::Body;
use std::{
    cell::Cell,
    fmt,
    pin::{Pin, pin},
};
use tower_service::Service;

/// Checks a service against every [`Law`].
///
/// See the [crate documentation](crate) for an example.
pub struct Conformance<F> {
    make: F,
    prepare: Box<dyn Fn(&mut request::Parts)>,
    chooses_in_call: bool,
    sends_again: bool,
    next: Cell<u64>,
}

/// The service under test.
pub(crate) trait Subject:
    Service<Request<StrictBody>, Response = Response<Self::Body>, Error: Into<BoxError>> + Clone
{
    type Body: Body<Error: Into<BoxError>>;
}

impl<S, RB> Subject for S
where
    S: Service<Request<StrictBody>, Response = Response<RB>> + Clone,
    S::Error: Into<BoxError>,
    RB: Body,
    RB::Error: Into<BoxError>,
{
    type Body = RB;
}

impl<F> Conformance<F> {
    /// Checks what `make` builds around an inner service; it builds many.
    pub fn new<S>(make: F) -> Self
    where
        F: Fn(Mock) -> S,
    {
        Self {
            make,
            prepare: Box::new(|_| {}),
            chooses_in_call: false,
            sends_again: false,
            next: Cell::new(1),
        }
    }

    /// Changes each request before it is sent: its method, say, or an extension.
    #[must_use]
    pub fn prepare(mut self, prepare: impl Fn(&mut request::Parts) + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// For services that are always ready, and choose and wait for an inner service in the
    /// response future: splits, balancers, routers. Errors of readiness then come from the
    /// future, and `poll_ready` must reserve nothing.
    #[must_use]
    pub fn chooses_in_call(mut self) -> Self {
        self.chooses_in_call = true;
        self
    }

    /// For services that send a failed request again: at once and without a timer, once the
    /// failed attempt has ended and has let go of its permit.
    #[must_use]
    pub fn sends_failures_again(mut self) -> Self {
        self.sends_again = true;
        self
    }

    /// Checks all laws.
    ///
    /// # Panics
    ///
    /// If one is broken, with its name and what happened.
    pub fn check<S, RB>(&self)
    where
        F: Fn(Mock) -> S,
        S: Service<Request<StrictBody>, Response = Response<RB>> + Clone,
        S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        RB: Body,
        RB::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        laws::readiness(self);
        laws::clones(self);
        laws::errors(self);
        laws::heads(self);
        laws::bodies(self);
        laws::cancellation(self);
    }

    pub(crate) fn waits_in_call(&self) -> bool {
        self.chooses_in_call
    }

    pub(crate) fn may_send_again(&self) -> bool {
        self.sends_again
    }

    /// An inner service of so many permits, and what is under test around it.
    pub(crate) fn bench<S>(&self, permits: usize) -> (Mock, S)
    where
        F: Fn(Mock) -> S,
    {
        let mock = Mock::build(permits, self.sends_again);
        let service = (self.make)(mock.clone());
        (mock, service)
    }

    /// A request that is told from all others.
    pub(crate) fn request(&self, mock: &Mock, shape: &Shape) -> Request<StrictBody> {
        let id = self.next.replace(self.next.get() + 1);
        let body = StrictBody::with(shape, "the request body", None, Some(mock.token()));
        let (mut head, body) = Request::new(body).into_parts();
        head.method = Method::PUT;
        head.uri = http::Uri::from_static("http://conformance.test/some/path?and=query");
        head.version = Version::HTTP_2;
        head.headers.insert(RequestId::HEADER, id.into());
        head.headers
            .append("conformance-twice", http::HeaderValue::from_static("one"));
        head.headers
            .append("conformance-twice", http::HeaderValue::from_static("two"));
        head.extensions.insert(RequestId(id));
        (self.prepare)(&mut head);
        Request::from_parts(head, body)
    }
}

/// The whole of a response.
pub(crate) struct Whole {
    pub(crate) head: http::response::Parts,
    pub(crate) size_hint: (u64, Option<u64>),
    pub(crate) is_end_stream: bool,
    pub(crate) data: Bytes,
    pub(crate) trailers: Option<HeaderMap>,
    pub(crate) error: Option<BoxError>,
}

/// Waits for readiness.
pub(crate) fn ready<S: Subject>(
    task: &mut Task,
    service: &mut S,
) -> Result<Result<(), BoxError>, Stopped> {
    let result = task.drive("poll_ready", |cx| service.poll_ready(cx))?;
    Ok(result.map_err(Into::into))
}

/// Drives a call to the end of its response body.
pub(crate) fn finish<S: Subject>(
    task: &mut Task,
    mut future: Pin<&mut S::Future>,
) -> Result<Result<Whole, BoxError>, Stopped> {
    let result = task.drive("the response future", |cx| future.as_mut().poll(cx))?;
    let (head, body) = match result {
        Ok(rsp) => rsp.into_parts(),
        Err(error) => return Ok(Err(error.into())),
    };
    let mut body = pin!(body);
    let size_hint = crate::exchange::bounds(&body.size_hint());
    let is_end_stream = body.is_end_stream();
    let mut frames = Frames::default();
    let error = task.drive("the response body", |cx| {
        frames.poll_read(body.as_mut(), "the response body", cx)
    })?;
    Ok(Ok(Whole {
        head,
        size_hint,
        is_end_stream,
        data: frames.data(),
        trailers: frames.trailers,
        error,
    }))
}

/// One exchange from readiness to the end of the response, which must not be stopped.
pub(crate) fn exchange<S: Subject>(
    service: &mut S,
    req: Request<StrictBody>,
) -> Result<Whole, BoxError> {
    let mut task = Task::new();
    let stopped = "a task without a limit is never stopped";
    ready(&mut task, service).expect(stopped)?;
    let future = service.call(req);
    finish::<S>(&mut task, pin!(future)).expect(stopped)
}

/// Completes an exchange that must not fail, with [`exchange`].
pub(crate) fn succeed<S: Subject>(service: &mut S, req: Request<StrictBody>, when: &str) -> Whole {
    match exchange(service, req) {
        Ok(whole) => whole,
        Err(error) => violated(
            Law::SurfacesErrors,
            format_args!("{when}, a good answer became the error `{error}`"),
        ),
    }
}

impl<F> fmt::Debug for Conformance<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conformance")
            .field("chooses_in_call", &self.chooses_in_call)
            .field("sends_failures_again", &self.sends_again)
            .finish_non_exhaustive()
    }
}
