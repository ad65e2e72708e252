//! The first bytes of a connection, whatever they are: what it speaks, and the name in a ClientHello.

#![no_main]

use libfuzzer_sys::fuzz_target;
use mesh_proxy::fuzzing::first;

/// By then it is decided what a connection speaks.
const DECIDED: usize = 32;

fuzz_target!(|bytes: &[u8]| {
    let whole = first(bytes);
    assert!(whole.protocol.is_some() || bytes.len() < DECIDED);
    if let Some(name) = &whole.server_name {
        // It becomes a label of metrics.
        assert_eq!(whole.protocol, Some("TLS"));
        assert!(!name.is_empty() && name.len() <= 253);
        let is_part = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
        assert!(name.bytes().all(is_part), "{name:?}");
    }
    // However it is cut, what is decided stays decided.
    for end in (0..bytes.len())
        .take(64)
        .chain([bytes.len() / 2, bytes.len() * 3 / 4])
    {
        let part = first(&bytes[..end]);
        assert!(part.protocol.is_none() || part.protocol == whole.protocol);
        if !part.name_is_pending {
            assert_eq!(part.server_name, whole.server_name);
        }
    }
});
