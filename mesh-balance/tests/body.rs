//! Response bodies: their effect on the balance, and that they pass unchanged.

mod support;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use mesh_balance::{Balance, BalanceBody, BoxError, EndpointStatus, Fault, Route};
use mesh_core::{Class, Classify, End, Head};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use support::addr;
use tokio::time::advance;
use tower::{Service, service_fn, util::BoxCloneSyncService};

/// Gives these frames, one a poll.
#[derive(Debug)]
struct Script(VecDeque<Result<Frame<Bytes>, BoxError>>);

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(self.0.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

fn data() -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(b"x")))
}

fn trailers(code: &'static str) -> Result<Frame<Bytes>, BoxError> {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static(code));
    Ok(Frame::trailers(trailers))
}

fn broken() -> Result<Frame<Bytes>, BoxError> {
    Err(Fault::Reset.into())
}

type Endpoint = BoxCloneSyncService<Request<()>, Response<Script>, BoxError>;

/// A balance of one endpoint, whose response has these frames.
fn balance(
    frames: impl Fn() -> Vec<Result<Frame<Bytes>, BoxError>> + Clone + Send + Sync + 'static,
) -> Balance<Endpoint> {
    let balance = Balance::new();
    balance.handle().update([addr(0)], |_| {
        let frames = frames.clone();
        let service = service_fn(move |_| {
            let rsp = Response::new(Script(frames().into()));
            async { Ok(rsp) }
        });
        BoxCloneSyncService::new(service)
    });
    balance
}

fn status(balance: &Balance<Endpoint>) -> EndpointStatus {
    balance.endpoints().remove(0)
}

async fn get(balance: &mut Balance<Endpoint>) -> BalanceBody<Script> {
    balance.call(Request::new(())).await.unwrap().into_body()
}

async fn grpc(balance: &mut Balance<Endpoint>) -> BalanceBody<Script> {
    let req = Request::builder().header(CONTENT_TYPE, "application/grpc+proto");
    let req = req.body(()).unwrap();
    balance.call(req).await.unwrap().into_body()
}

#[tokio::test(start_paused = true)]
async fn a_request_is_in_flight_until_its_body_ends_or_is_dropped() {
    let mut balance = balance(|| vec![data(), data()]);
    let mut read = get(&mut balance).await;
    let dropped = get(&mut balance).await;
    assert_eq!(status(&balance).in_flight, 2);
    drop(dropped);
    assert_eq!(status(&balance).in_flight, 1);

    read.frame().await.unwrap().unwrap();
    assert_eq!(status(&balance).in_flight, 1);
    // The last frame is the end, even without a poll behind it.
    read.frame().await.unwrap().unwrap();
    assert_eq!(status(&balance).in_flight, 0);
    assert!(read.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_response_without_a_body_has_ended() {
    let mut balance = balance(Vec::new);
    let _body = get(&mut balance).await;
    assert_eq!(status(&balance).in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn size_hint_end_and_trailers_pass_through() {
    let mut balance = balance(|| vec![data(), trailers("0")]);
    let mut body = get(&mut balance).await;
    assert_eq!(body.size_hint().exact(), Some(2));
    assert!(!body.is_end_stream());
    assert!(body.frame().await.unwrap().unwrap().is_data());
    let trailers = body
        .frame()
        .await
        .unwrap()
        .unwrap()
        .into_trailers()
        .unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn latency_is_the_time_to_the_first_frame() {
    let mut balance = balance(|| vec![data(), data()]);
    let mut body = get(&mut balance).await;
    advance(Duration::from_millis(70)).await;
    body.frame().await.unwrap().unwrap();
    advance(Duration::from_secs(1)).await;
    body.frame().await.unwrap().unwrap();
    let latency = status(&balance).latency.as_secs_f32();
    // It has been decaying for the second since.
    assert!(
        (latency - 0.07 * (-0.1f32).exp()).abs() < 0.001,
        "{latency}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_grpc_failure_in_trailers_counts() {
    let mut failing = balance(|| vec![data(), trailers("14")]);
    let body = grpc(&mut failing).await;
    assert_eq!(status(&failing).failure_ratio, 0.0);
    body.collect().await.unwrap();
    assert!(status(&failing).failure_ratio > 0.09);

    let mut fine = balance(|| vec![data(), trailers("5")]);
    grpc(&mut fine).await.collect().await.unwrap();
    assert_eq!(status(&fine).failure_ratio, 0.0);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_last_frame_of_the_body_counts() {
    for (end, fails) in [
        (&b"\x80\0\0\0\x0egrpc-status:14"[..], true),
        (b"\x80\0\0\0\x0dgrpc-status:5", false),
    ] {
        let balance = Balance::new();
        balance.handle().update([addr(0)], |_| {
            service_fn(move |_: Request<()>| async move {
                let frames = [&b"\0\0\0\0\x01x"[..], end];
                let frames =
                    frames.map(|bytes| Ok::<_, BoxError>(Frame::data(Bytes::from_static(bytes))));
                let rsp = Response::builder().header(CONTENT_TYPE, "application/grpc-web");
                Ok::<_, BoxError>(rsp.body(Script(frames.into())).unwrap())
            })
        });
        let req = Request::builder().header(CONTENT_TYPE, "application/grpc-web");
        let rsp = balance.clone().call(req.body(()).unwrap()).await.unwrap();
        rsp.into_body().collect().await.unwrap();
        assert_eq!(balance.endpoints()[0].failure_ratio > 0.09, fails);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_counts_whatever_the_head_said() {
    let mut balance = balance(|| vec![data(), broken()]);
    let body = get(&mut balance).await;
    body.collect().await.unwrap_err();
    let status = status(&balance);
    assert!(status.failure_ratio > 0.09);
    assert_eq!(status.in_flight, 0);
}

/// Everything fails.
struct Harsh;

impl Classify for Harsh {
    fn classify(&self, _: &Head<'_>, _: Option<End<'_>>) -> Option<Class> {
        Some(Class::Failure)
    }
}

#[tokio::test(start_paused = true)]
async fn a_route_decides_what_a_failure_is() {
    let mut balance = balance(Vec::new);
    let mut req = Request::new(());
    let route = Route::new("harsh").with_classify(Harsh);
    req.extensions_mut().insert(route);
    balance.call(req).await.unwrap();
    assert!(status(&balance).failure_ratio > 0.09);
}

#[tokio::test(start_paused = true)]
async fn limits_and_faults_of_our_own_are_not_held_against_an_endpoint() {
    for (fault, counts) in [
        (Fault::Overloaded, false),
        (Fault::Injected, false),
        (Fault::Refused, true),
        (Fault::Elapsed, true),
    ] {
        let mut balance = Balance::<Endpoint>::new();
        balance.handle().update([addr(0)], |_| {
            BoxCloneSyncService::new(service_fn(move |_| async move { Err(fault.into()) }))
        });
        let error = balance.call(Request::new(())).await.unwrap_err();
        assert_eq!(Fault::of(&*error), Some(fault));
        assert_eq!(status(&balance).failure_ratio > 0.0, counts, "{fault}");
        assert_eq!(status(&balance).in_flight, 0);
    }
}
