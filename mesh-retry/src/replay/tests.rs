use super::*;
use crate::RetryLayer;
use http::HeaderValue;
use http_body_util::{BodyExt, StreamBody, channel::Channel};
use proptest::prelude::*;
use std::convert::Infallible;
use tokio_test::{assert_pending, assert_ready, task};

type Frames = StreamBody<tokio_test_iter::Iter>;

/// A body of frames that are all there.
mod tokio_test_iter {
    use super::*;
    use std::collections::VecDeque;

    #[derive(Debug)]
    pub(super) struct Iter(pub(super) VecDeque<Frame<Bytes>>);

    impl futures_core::Stream for Iter {
        type Item = Result<Frame<Bytes>, Infallible>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }
}

fn frames(data: &[Vec<u8>], trailers: bool) -> Frames {
    let data = data
        .iter()
        .map(|data| Frame::data(Bytes::from(data.clone())));
    let trailers = trailers.then(|| Frame::trailers(some_trailers()));
    StreamBody::new(tokio_test_iter::Iter(data.chain(trailers).collect()))
}

fn some_trailers() -> HeaderMap {
    HeaderMap::from_iter([("sum".parse().unwrap(), HeaderValue::from_static("1"))])
}

fn keep<B: Body + Unpin>(body: B, max: usize) -> (ReplayBody<B>, Original<B>) {
    ReplayBody::keep(body, || None, max, RetryLayer::MAX_MEMORY)
}

/// Reads a body whose frames are all there.
fn read<B>(body: ReplayBody<B>) -> (Bytes, Option<HeaderMap>)
where
    B: Body<Error = Infallible> + Unpin,
{
    let mut read = task::spawn(body.collect());
    let collected = assert_ready!(read.poll()).unwrap();
    let trailers = collected.trailers().cloned();
    (collected.to_bytes(), trailers)
}

#[test]
fn an_empty_body_is_kept_without_any_state() {
    let (body, original) = keep(http_body_util::Empty::<Bytes>::new(), 10);
    assert!(body.is_end_stream() && matches!(original, Original::Empty));
    assert_eq!(body.size_hint().exact(), Some(0));
}

#[test]
fn a_body_that_says_it_is_too_large_is_not_kept() {
    let body = http_body_util::Full::new(Bytes::from_static(b"12345"));
    let (body, original) = keep(body, 4);
    assert_eq!(original.skipped(), Some(RetrySkipped::BodyTooLarge));
    assert_eq!(read(body).0, "12345");

    let (_, original) = ReplayBody::keep(frames(&[vec![1]], false), || Some(5), 4, 100);
    assert_eq!(original.skipped(), Some(RetrySkipped::BodyTooLarge));
}

#[test]
fn a_body_of_exactly_the_limit_is_kept() {
    let (body, original) = keep(frames(&[vec![7; 4], vec![8; 4]], true), 8);
    drop(read(body));
    assert_eq!(original.skipped(), None);
    let (data, trailers) = read(original.replay());
    assert_eq!(&data[..], [7, 7, 7, 7, 8, 8, 8, 8]);
    assert_eq!(trailers, Some(some_trailers()));
}

#[test]
fn a_body_that_turns_out_too_large_is_forgotten_and_streams_on() {
    let (body, original) = keep(frames(&[vec![1; 6], vec![2; 6], vec![3; 6]], true), 10);
    let (data, trailers) = read(body);
    assert_eq!(data.len(), 18);
    assert_eq!(trailers, Some(some_trailers()));
    assert_eq!(original.skipped(), Some(RetrySkipped::BodyTooLarge));
    let Original::Kept(shared) = &original else {
        panic!("a body of unknown length is kept at first")
    };
    assert!(lock(shared).frames.is_empty());
}

#[test]
fn what_the_last_attempt_did_not_read_is_still_to_come() {
    let (body, original) = keep(frames(&[vec![1], vec![2], vec![3]], true), 10);
    let mut body = task::spawn(body);
    assert_ready!(body.enter(|cx, body| body.poll_frame(cx)));
    assert_eq!(original.skipped(), Some(RetrySkipped::BodyIncomplete));
    drop(body);

    assert_eq!(original.skipped(), None);
    let (data, trailers) = read(original.replay());
    assert_eq!(&data[..], [1, 2, 3]);
    assert!(trailers.is_some());
}

#[test]
fn the_next_attempt_waits_for_a_live_sender() {
    let (mut sender, body) = Channel::<Bytes, Infallible>::new(4);
    let (body, original) = keep(body, 10);
    sender
        .try_send(Frame::data(Bytes::from_static(b"a")))
        .unwrap();
    let mut first = task::spawn(body);
    assert_ready!(first.enter(|cx, body| body.poll_frame(cx)));
    assert_pending!(first.enter(|cx, body| body.poll_frame(cx)));
    drop(first);

    let mut second = task::spawn(original.replay().collect());
    assert_pending!(second.poll());
    sender
        .try_send(Frame::data(Bytes::from_static(b"b")))
        .unwrap();
    drop(sender);
    assert!(second.is_woken());
    assert_eq!(assert_ready!(second.poll()).unwrap().to_bytes(), "ab");
}

#[test]
fn a_full_memory_stops_the_keeping_not_the_sending() {
    let (body, original) = ReplayBody::keep(frames(&[vec![1; 6]], false), || None, 10, 0);
    assert_eq!(read(body).0.len(), 6);
    assert_eq!(original.skipped(), Some(RetrySkipped::NoMemory));
}

#[test]
fn nothing_more_is_kept_once_it_is_released() {
    let (body, original) = keep(frames(&[vec![1], vec![2]], false), 10);
    original.release();
    assert_eq!(&read(body).0[..], [1, 2]);
    assert_eq!(original.skipped(), Some(RetrySkipped::BodyIncomplete));
}

proptest! {
    /// However the first attempt stops, the next one sends the whole body.
    #[test]
    fn a_replay_is_the_original(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..200),
        trailers in any::<bool>(),
        stop_after in 0..250_usize,
    ) {
        let whole: Vec<u8> = data.concat();
        let (body, original) = keep(frames(&data, trailers), usize::MAX);
        let mut first = task::spawn(body);
        for _ in 0..stop_after {
            let frame = assert_ready!(first.enter(|cx, body| body.poll_frame(cx)));
            if frame.is_none() {
                break;
            }
        }
        drop(first);
        prop_assert_eq!(original.skipped(), None);
        for _ in 0..2 {
            let (data, seen) = read(original.replay());
            prop_assert_eq!(&data[..], &whole[..]);
            prop_assert_eq!(seen.is_some(), trailers);
        }
    }

    /// The sum of the sent frames equals the size hint before and during sending.
    #[test]
    fn the_size_hint_is_exact_in_every_attempt(data in prop::collection::vec(any::<u8>(), 1..50)) {
        let len = data.len() as u64;
        let (body, original) = keep(http_body_util::Full::new(Bytes::from(data)), 1000);
        prop_assert_eq!(body.size_hint().exact(), Some(len));
        read(body);
        let mut second = task::spawn(original.replay());
        prop_assert_eq!(second.size_hint().exact(), Some(len));
        prop_assert!(!second.is_end_stream());
        let _ = assert_ready!(second.enter(|cx, body| body.poll_frame(cx)));
        prop_assert_eq!(second.size_hint().exact(), Some(0));
        prop_assert!(second.is_end_stream());
    }
}
