//! The end of a connection whose client may still be sending.

use mesh_transport::Io;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    runtime::Handle,
};

/// A client that does not stop by then is cut off.
const LIMIT: Duration = Duration::from_secs(1);

/// And one that sends more than this, too.
const MOST: usize = 1024 * 1024;

/// Writes `last` and closes `io` such that the client can read it.
///
/// A socket that is closed with something left to read is reset, and a reset takes along what the
/// peer has not read yet (RFC 9112, 9.6).
pub(super) fn spawn(mut io: Io, last: Vec<u8>) {
    // There is none when the runtime itself ends.
    let Ok(runtime) = Handle::try_current() else {
        return;
    };
    runtime.spawn(tokio::time::timeout(LIMIT, async move {
        let mut waste = [0; 1024];
        let mut read = 0;
        if io.write_all(&last).await.is_err() || io.shutdown().await.is_err() {
            return;
        }
        while let Ok(n @ 1..) = io.read(&mut waste).await {
            read += n;
            if read > MOST {
                return;
            }
        }
    }));
}
