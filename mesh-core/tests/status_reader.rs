//! The status in a body, however the body is cut.

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use mesh_core::StatusReader;
use proptest::prelude::*;

/// The frame's flags, and its payload.
type Frame = (u8, Vec<u8>);

fn bytes(frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (flags, payload) in frames {
        bytes.push(*flags);
        bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
    }
    bytes
}

/// The status after `body`, read in pieces of these sizes.
fn status(kind: &'static str, body: &[u8], sizes: &[usize]) -> Option<String> {
    let kind = (CONTENT_TYPE, HeaderValue::from_static(kind));
    let mut reader = StatusReader::of(&HeaderMap::from_iter([kind])).unwrap();
    let mut rest = body;
    let mut sizes = sizes.iter().cycle();
    while !rest.is_empty() {
        let size = (*sizes.next().unwrap_or(&1)).clamp(1, rest.len());
        let (piece, after) = rest.split_at(size);
        reader.read(&piece);
        rest = after;
    }
    let status = reader.trailers()?.get("grpc-status")?;
    Some(String::from_utf8_lossy(status.as_bytes()).into_owned())
}

fn message() -> impl Strategy<Value = Frame> {
    (0..2_u8, prop::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #[test]
    fn the_status_behind_any_messages_is_found(
        messages in prop::collection::vec(message(), 0..6),
        code in 0..17_u16,
        sizes in prop::collection::vec(1..50_usize, 1..8),
    ) {
        let mut frames = messages;
        frames.push((0x80, format!("grpc-status:{code}\r\n").into_bytes()));
        let found = status("application/grpc-web", &bytes(&frames), &sizes);
        prop_assert_eq!(found, Some(code.to_string()));
    }

    #[test]
    fn an_error_of_connect_is_found_in_any_json(
        messages in prop::collection::vec(message(), 0..6),
        text in ".*",
        metadata in prop::collection::vec(".*", 0..3),
        fails in any::<bool>(),
        sizes in prop::collection::vec(1..50_usize, 1..8),
    ) {
        let mut end = serde_json::json!({ "metadata": { text.clone(): metadata } });
        if fails {
            end["error"] = serde_json::json!({ "message": text, "code": "internal" });
        }
        for pretty in [false, true] {
            let end = match pretty {
                true => serde_json::to_vec_pretty(&end).unwrap(),
                false => serde_json::to_vec(&end).unwrap(),
            };
            let mut frames = messages.clone();
            frames.push((2, end));
            let found = status("application/connect+proto", &bytes(&frames), &sizes);
            prop_assert_eq!(found.as_deref(), Some(if fails { "13" } else { "0" }));
        }
    }

    #[test]
    fn any_bytes_are_read_the_same_however_they_are_cut(
        body in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..3_usize,
        sizes in prop::collection::vec(1..50_usize, 1..8),
    ) {
        let kinds = ["application/grpc-web", "application/grpc-web-text", "application/connect+json"];
        let whole = status(kinds[kind], &body, &[body.len()]);
        prop_assert_eq!(status(kinds[kind], &body, &sizes), whole);
    }
}
