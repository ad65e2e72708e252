//! Response bodies of servers, whatever they are, through the reader of the status in their last
//! frame: the same however they are cut, and the same error of Connect as serde_json finds.

#![no_main]

use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use libfuzzer_sys::fuzz_target;
use mesh_core::StatusReader;
use serde_json::Value;

const KINDS: [&str; 3] = [
    "application/grpc-web",
    "application/grpc-web-text",
    "application/connect+json",
];

/// The status after a body of this kind, read in pieces of `size` bytes.
fn status(kind: &'static str, body: &[u8], size: usize) -> Option<HeaderValue> {
    let kind = (CONTENT_TYPE, HeaderValue::from_static(kind));
    let mut reader = StatusReader::of(&HeaderMap::from_iter([kind])).expect("it has a reader");
    for piece in body.chunks(size) {
        reader.read(&piece);
    }
    reader.trailers()?.get("grpc-status").cloned()
}

/// Returns true if the end of a Connect stream has an error; `None` if it is no such end, or has
/// names with escapes, which are not unescaped.
fn fails(end: &[u8]) -> Option<bool> {
    if end.contains(&b'\\') {
        return None;
    }
    let end: Value = serde_json::from_slice(end).ok()?;
    match end.as_object()?.get("error") {
        None | Some(Value::Null) => Some(false),
        Some(error) => error.as_object().map(|_| true),
    }
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (kind, size, body) = input;
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let whole = status(kind, body, body.len().max(1));
    assert_eq!(status(kind, body, usize::from(size).max(1)), whole);

    let length = u32::try_from(body.len()).expect("inputs are small");
    let mut last = vec![2];
    last.extend(length.to_be_bytes());
    last.extend(body);
    if let Some(fails) = fails(body) {
        let status = status(KINDS[2], &last, usize::from(size).max(1));
        let status = status.expect("an end that can be read has a status");
        assert_eq!(status != "0", fails);
    }
});
