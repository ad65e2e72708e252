//! Bodies with scripted frames, and events as lines.
#![allow(dead_code, reason = "each test file uses what it needs")]

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use mesh_tap::{Event, Events};
use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};
use tower::BoxError;

pub(crate) type Req = Request<()>;
pub(crate) type Rsp = Response<Script>;

/// A response body that plays its frames, and then ends or, if it is told so, waits.
#[derive(Debug, Default)]
pub(crate) struct Script {
    frames: VecDeque<Result<Frame<Bytes>, BoxError>>,
    waits: bool,
}

impl Script {
    pub(crate) fn empty() -> Self {
        Self::default()
    }

    pub(crate) fn data(mut self, data: &'static str) -> Self {
        self.frames
            .push_back(Ok(Frame::data(Bytes::from_static(data.as_bytes()))));
        self
    }

    pub(crate) fn grpc_status(mut self, code: &'static str) -> Self {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(code));
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }

    pub(crate) fn error(mut self, error: impl Into<BoxError>) -> Self {
        self.frames.push_back(Err(error.into()));
        self
    }

    pub(crate) fn waits(mut self) -> Self {
        self.waits = true;
        self
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.frames.pop_front() {
            None if self.waits => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && !self.waits
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(42)
    }
}

pub(crate) fn get(path: &str) -> Req {
    Request::get(path).body(()).unwrap()
}

pub(crate) fn response(status: u16, body: Script) -> Rsp {
    Response::builder().status(status).body(body).unwrap()
}

/// The events that wait, as lines without what is the same in all of them.
pub(crate) fn lines(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| line(&event))
        .collect()
}

pub(crate) fn line(event: &Event) -> String {
    let line = event.to_string();
    let id = line.split(' ').nth(1).unwrap().split_once(':').unwrap().1;
    let rest = line.split_once(" tls=").unwrap().1.trim_start();
    format!("{} {id} {rest}", &line[..3])
}
