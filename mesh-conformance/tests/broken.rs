//! Each law, and a layer that breaks it in the way that one meets it: it must be caught.

mod support;

use http::{Request, Response};
use mesh_conformance::{Broken, Conformance, Law, Mock, MockReply, Shape, StrictBody};
use std::{
    future::{Future, poll_fn},
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};
use support::{Req, Rsp, Sloppy, caught};
use tower::{Service, ServiceExt};

#[test]
fn a_fresh_clone_that_is_called_is_caught() {
    let what = caught(
        Law::PollsBeforeItCalls,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req| {
                let mut fresh = inner.clone();
                Box::pin(async move { fresh.call(req).await })
            })
        }),
    );
    assert!(what.contains("another clone is ready"), "{what}");
}

#[test]
fn a_service_that_is_ready_before_its_inner_service_is_caught() {
    caught(
        Law::PollsBeforeItCalls,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req| Box::pin(inner.call(req)))
                .ready(|_, _| Poll::Ready(Ok(())))
        }),
    );
}

/// Remembers that it was ready, and lets its clones inherit it.
#[derive(Clone)]
struct Remembers {
    inner: Mock,
    ready: bool,
}

impl Service<Req> for Remembers {
    type Response = Rsp;
    type Error = Broken;
    type Future = <Mock as Service<Req>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Broken>> {
        if !self.ready {
            std::task::ready!(Service::<Req>::poll_ready(&mut self.inner, cx))?;
            self.ready = true;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Req) -> Self::Future {
        self.ready = false;
        self.inner.call(req)
    }
}

#[test]
fn a_clone_that_inherits_readiness_is_caught() {
    let make = |inner| Remembers {
        inner,
        ready: false,
    };
    caught(Law::SurvivesClones, &Conformance::new(make));
}

#[test]
fn an_inner_call_that_outlives_its_future_is_caught() {
    type Kept = Arc<Mutex<Vec<support::Future>>>;
    let kept = Kept::default();
    caught(
        Law::CancelSafe,
        &Conformance::new(move |inner| {
            let kept = kept.clone();
            Sloppy::new(inner, move |inner, req| {
                // Continues the call in a spawned task.
                let (kept, nth) = (kept.clone(), {
                    let mut kept = kept.lock().unwrap();
                    kept.push(Box::pin(inner.call(req)));
                    kept.len() - 1
                });
                Box::pin(poll_fn(move |cx| {
                    kept.lock().unwrap()[nth].as_mut().poll(cx)
                }))
            })
        }),
    );
}

#[test]
fn a_request_that_is_kept_is_caught() {
    let kept = Arc::<Mutex<Vec<Req>>>::default();
    caught(
        Law::CancelSafe,
        &Conformance::new(move |inner| {
            let kept = kept.clone();
            Sloppy::new(inner, move |inner, req| {
                let (head, body) = req.into_parts();
                let copy =
                    Request::from_parts(head.clone(), StrictBody::new(&Shape::of(["request"])));
                kept.lock().unwrap().push(Request::from_parts(head, body));
                Box::pin(inner.call(copy))
            })
        }),
    );
}

#[test]
fn a_permit_that_an_error_keeps_is_caught() {
    let kept = Arc::<Mutex<Vec<Mock>>>::default();
    caught(
        Law::LosesNoPermit,
        &Conformance::new(move |inner| {
            let kept = kept.clone();
            Sloppy::new(inner, move |inner, req| {
                let kept = kept.clone();
                let mut again = inner.clone();
                let call = inner.call(req);
                Box::pin(async move {
                    let result = call.await;
                    if result.is_err() {
                        // Made ready for another attempt that never comes.
                        let _ = ServiceExt::<Req>::ready(&mut again).await;
                        kept.lock().unwrap().push(again);
                    }
                    result
                })
            })
        }),
    );
}

fn copy_of(req: &Req) -> Req {
    let mut copy = Request::new(StrictBody::new(&Shape::of(["request"])));
    *copy.headers_mut() = req.headers().clone();
    *copy.extensions_mut() = req.extensions().clone();
    copy
}

#[test]
fn a_request_that_is_sent_twice_is_caught() {
    let hedges = |inner| {
        Sloppy::new(inner, |inner, req: Req| {
            let copy = copy_of(&req);
            let second = inner.clone();
            let first = inner.call(req);
            Box::pin(async move {
                let rsp = first.await?;
                if rsp.status() != 200 {
                    drop(rsp);
                    return second.oneshot(copy).await;
                }
                Ok(rsp)
            })
        })
    };
    let what = caught(Law::SendsOnce, &Conformance::new(hedges));
    assert!(what.contains("after it had failed"), "{what}");
}

#[test]
fn a_retry_that_holds_on_to_the_attempt_that_failed_is_caught() {
    let retries = |inner| {
        Sloppy::new(inner, |inner, req: Req| {
            let copy = copy_of(&req);
            let second = inner.clone();
            let first = inner.call(req);
            Box::pin(async move {
                let failed = first.await?;
                if failed.status() != 503 {
                    return Ok(failed);
                }
                // Its connection is the only one.
                let rsp = second.oneshot(copy).await;
                drop(failed);
                rsp
            })
        })
    };
    caught(
        Law::Wakes,
        &Conformance::new(retries).sends_failures_again(),
    );
}

#[test]
fn an_error_of_readiness_that_is_swallowed_is_caught() {
    caught(
        Law::SurfacesErrors,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req| Box::pin(inner.call(req))).ready(|inner, cx| {
                let _ = std::task::ready!(Service::<Req>::poll_ready(inner, cx));
                Poll::Ready(Ok(()))
            })
        }),
    );
}

#[test]
fn an_error_that_is_swallowed_is_caught() {
    caught(
        Law::SurfacesErrors,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req| {
                let call = inner.call(req);
                Box::pin(async move {
                    Ok(call
                        .await
                        .unwrap_or_else(|_| Response::new(StrictBody::new(&Shape::empty()))))
                })
            })
        }),
    );
}

#[test]
fn a_body_that_forgets_its_length_is_caught() {
    for (forgets, what) in [
        (
            support::Forgets::SizeHint,
            "`size_hint` of the response body",
        ),
        (
            support::Forgets::EndStream,
            "`is_end_stream` of the response body",
        ),
        (support::Forgets::Trailers, "trailers of the response body"),
    ] {
        let make = move |inner| support::Rebodied { inner, forgets };
        let message = caught(Law::KeepsBodies, &Conformance::new(make));
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn a_head_that_is_rebuilt_without_its_extensions_is_caught() {
    let what = caught(
        Law::PassesThrough,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req: Req| {
                let (head, body) = req.into_parts();
                let mut copy = Request::new(body);
                *copy.method_mut() = head.method;
                *copy.uri_mut() = head.uri;
                *copy.version_mut() = head.version;
                *copy.headers_mut() = head.headers;
                Box::pin(inner.call(copy))
            })
        }),
    );
    assert!(what.contains("request's extensions"), "{what}");
}

#[test]
fn a_future_that_is_polled_after_its_end_is_caught() {
    caught(
        Law::ResolvesOnce,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req| {
                let mut call = Box::pin(inner.call(req));
                let mut result = None;
                Box::pin(poll_fn(move |cx| {
                    // One turn too late to look.
                    if let Some(result) = mem::take(&mut result) {
                        let _ = call.as_mut().poll(cx);
                        return Poll::Ready(result);
                    }
                    if let Poll::Ready(value) = call.as_mut().poll(cx) {
                        result = Some(value);
                        cx.waker().wake_by_ref();
                    }
                    Poll::Pending
                }))
            })
        }),
    );
}

#[test]
fn a_waker_that_is_not_passed_on_is_caught() {
    caught(
        Law::Wakes,
        &Conformance::new(|inner| {
            Sloppy::new(inner, |inner, req| {
                let mut call = Box::pin(inner.call(req));
                Box::pin(poll_fn(move |_| {
                    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                }))
            })
        }),
    );
}

#[test]
fn a_service_that_reserves_what_it_will_not_call_is_caught() {
    caught(
        Law::LosesNoPermit,
        &Conformance::new(|inner: Mock| {
            Sloppy::new(inner, |inner, req| Box::pin(inner.clone().oneshot(req)))
        })
        .chooses_in_call(),
    );
}

#[test]
fn the_mock_answers_as_it_is_told() {
    let mock = Mock::sent_again(1);
    mock.answer([MockReply::Error, MockReply::Response(204, Shape::empty())]);
    let mut task = Context::from_waker(Waker::noop());
    for expected in [None, Some(204), Some(200)] {
        let req = Request::new(StrictBody::new(&Shape::empty()));
        let mut call = Box::pin(mock.clone().oneshot(req));
        let result = loop {
            match Pin::new(&mut call).poll(&mut task) {
                Poll::Ready(result) => break result,
                Poll::Pending => {}
            }
        };
        assert_eq!(result.ok().map(|rsp| rsp.status().as_u16()), expected);
    }
    assert_eq!(mock.calls(), 3);
}
