//! The end of a connection whose client may still be sending.

use mesh_transport::Io;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};

/// A client that is silent for so long is cut off.
const GAP: Duration = Duration::from_secs(1);

/// And one that does not stop by then.
const LIMIT: Duration = Duration::from_secs(5);

/// And one that sends more bytes than this.
const MOST: usize = 16 * 1024 * 1024;

/// Writes `last` and closes `io` such that the client can read it.
///
/// A socket that is closed with something left to read is reset, and a reset takes along what the
/// peer has not read yet (RFC 9112, 9.6).
pub(super) async fn read_on(io: Io, last: Vec<u8>) {
    let _ = timeout(LIMIT, discard(io, last)).await;
}

async fn discard(mut io: Io, last: Vec<u8>) {
    let mut waste = vec![0; 16 * 1024];
    let mut read = 0;
    if io.write_all(&last).await.is_err() || io.shutdown().await.is_err() {
        return;
    }
    while let Ok(Ok(n @ 1..)) = timeout(GAP, io.read(&mut waste)).await {
        read += n;
        if read > MOST {
            return;
        }
    }
}
