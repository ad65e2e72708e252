use anyhow::{Context, Result, bail};
use bytes::BytesMut;
use http::Response;
use http_body_util::BodyExt;
use hyper::body::Incoming;

/// The longest line of a stream.
const MAX_LINE: usize = 4 << 20;

/// The lines of an answer that keeps coming.
#[derive(Debug)]
pub(crate) struct Lines {
    body: Incoming,
    buffer: BytesMut,
}

impl Lines {
    pub(super) fn of(response: Response<Incoming>) -> Self {
        Self {
            body: response.into_body(),
            buffer: BytesMut::new(),
        }
    }

    /// The next line without its end; `None` when the other side has ended the answer.
    ///
    /// Cancel safe: what was read of a line is kept.
    pub(crate) async fn next(&mut self) -> Result<Option<String>> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(end + 1);
                return Ok(Some(String::from_utf8_lossy(&line[..end]).into_owned()));
            }
            if self.buffer.len() > MAX_LINE {
                bail!("a line of the answer is longer than {MAX_LINE} bytes");
            }
            let Some(frame) = self.body.frame().await else {
                let rest = self.buffer.split();
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            };
            if let Ok(data) = frame
                .context("the mesh closed the stream early")?
                .into_data()
            {
                self.buffer.extend_from_slice(&data);
            }
        }
    }
}
