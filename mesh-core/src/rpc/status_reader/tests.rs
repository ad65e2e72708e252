use super::*;
use http::HeaderValue;

fn reader(kind: &'static str) -> StatusReader {
    let kind = (CONTENT_TYPE, HeaderValue::from_static(kind));
    StatusReader::of(&HeaderMap::from_iter([kind])).unwrap()
}

fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![flags];
    frame.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    frame.extend(payload);
    frame
}

fn status(reader: &StatusReader) -> Option<&str> {
    reader.trailers()?.get("grpc-status")?.to_str().ok()
}

/// Base64 with padding, by another way than the decoder's.
fn base64(bytes: &[u8]) -> String {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits: String = group.iter().map(|byte| format!("{byte:08b}")).collect();
        for six in 0..4 {
            let start = six * 6;
            text.push(match bits.get(start..) {
                Some(rest) if !rest.is_empty() => {
                    let six = format!("{:0<6}", &rest[..rest.len().min(6)]);
                    char::from(CHARS[usize::from_str_radix(&six, 2).unwrap()])
                }
                _ => '=',
            });
        }
    }
    text
}

const WEB: &str = "application/grpc-web+proto";
const TEXT: &str = "application/grpc-web-text";
const CONNECT: &str = "application/connect+json";

#[test]
fn the_status_is_the_same_however_the_body_is_cut() {
    let web = [
        frame(0, b"a message"),
        frame(1, b""),
        frame(0, &[0x80; 300]),
        frame(0x80, b"grpc-status: 14\r\n"),
    ];
    let connect = [
        frame(0, b"\x02"),
        frame(2, br#"{"error":{"code":"unavailable"}}"#),
    ];
    // Each frame with padding of its own, as some servers write them, or all in one.
    let pieces: String = web.iter().map(|frame| base64(frame)).collect();
    for (kind, body) in [
        (WEB, web.concat()),
        (TEXT, pieces.into_bytes()),
        (TEXT, base64(&web.concat()).into_bytes()),
        (CONNECT, connect.concat()),
    ] {
        for step in 1..=body.len() {
            let mut reader = reader(kind);
            for piece in body.chunks(step) {
                assert_eq!(status(&reader), None);
                reader.read(&piece);
            }
            assert_eq!(status(&reader), Some("14"), "{kind} by {step}");
            assert!(!reader.is_between_frames());
        }
    }
}

#[test]
fn a_buffer_of_several_pieces_is_read_and_left_as_it_is() {
    let body = frame(0x80, b"grpc-status:7");
    let (first, second) = body.split_at(7);
    let chain = first.chain(second);
    let mut reader = reader(WEB);
    reader.read(&chain);
    assert_eq!(chain.remaining(), body.len());
    assert_eq!(status(&reader), Some("7"));
}

#[test]
fn between_frames_another_can_follow() {
    let body = [frame(0, b"abc"), frame(0, b"")].concat();
    let mut reader = reader(WEB);
    let mut between = Vec::new();
    for byte in &body {
        if reader.is_between_frames() {
            between.push('|');
        }
        between.push('-');
        reader.read(&std::slice::from_ref(byte));
    }
    assert_eq!(between.iter().collect::<String>(), "|--------|-----");
    assert!(reader.is_between_frames());
}

#[test]
fn what_is_not_in_the_format_has_no_status() {
    let huge = frame(0x80, &[b'a'; MOST + 1]);
    for (kind, body) in [
        (WEB, frame(0x42, b"grpc-status:7")),
        (WEB, frame(0x81, b"grpc-status:7")),
        (WEB, huge),
        (TEXT, b"no base64!".to_vec()),
        (CONNECT, frame(0x80, b"{}")),
        (CONNECT, frame(3, b"{}")),
        (CONNECT, frame(2, b"no json")),
        // The message is not over.
        (
            WEB,
            [&[0, 0, 0, 0, 99][..], &frame(0x80, b"grpc-status:7")].concat(),
        ),
        // Behind the end.
        (
            WEB,
            [frame(0x80, b""), frame(0x80, b"grpc-status:7")].concat(),
        ),
    ] {
        let mut reader = reader(kind);
        reader.read(&body.as_slice());
        assert_eq!(status(&reader), None, "{kind} {body:?}");
        assert!(!reader.is_between_frames());
    }
    assert!(StatusReader::of(&HeaderMap::new()).is_none());
}

#[test]
fn of_a_large_body_nothing_is_kept() {
    let mut reader = reader(WEB);
    reader.read(&&[0, 0xff, 0xff, 0xff, 0xff][..]);
    for _ in 0..1000 {
        reader.read(&&[0x80; 64 * 1024][..]);
    }
    assert!(matches!(reader.state, State::Message(_)));
}
