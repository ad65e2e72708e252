//! One request and its answer.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use mesh_api::{ErrorBody, Question};
use serde::de::DeserializeOwned;
use std::fmt::Write as _;

/// The longest answer that is read whole.
const MAX_ANSWER: usize = 64 << 20;

pub(super) async fn exchange<S>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // Ends with the response's body, or when the runtime does.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

pub(super) async fn read(response: Response<Incoming>) -> Result<Bytes> {
    http_body_util::Limited::new(response.into_body(), MAX_ANSWER)
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .map_err(|error| anyhow!(error).context("cannot read the response of the mesh"))
}

pub(super) fn parse<T: DeserializeOwned>(path: &str, body: &[u8]) -> Result<T> {
    serde_json::from_slice(body)
        .with_context(|| format!("unexpected response to {path}; if `mesh version` shows two versions, restart the mesh with this program"))
}

/// Message of an error response: the `error` of a JSON object, else its text, else its status.
pub(super) fn reason(status: StatusCode, body: &[u8]) -> String {
    if let Ok(answer) = serde_json::from_slice::<ErrorBody>(body) {
        return answer.error;
    }
    match String::from_utf8_lossy(body).trim() {
        "" => format!("the mesh answered {status}"),
        text => text.to_owned(),
    }
}

/// Path and query of a question.
pub(super) fn target<Q: Question>(question: &Q) -> Result<String> {
    let query = serde_urlencoded::to_string(question)?;
    Ok(match &*query {
        "" => Q::PATH.to_owned(),
        query => format!("{}?{query}", Q::PATH),
    })
}

/// A path of `base` and of parts, which are encoded.
pub(super) fn path(base: &str, parts: &[&str]) -> String {
    let mut path = base.to_owned();
    for part in parts {
        path.push('/');
        encode(&mut path, part);
    }
    path
}

/// Percent-encodes all but RFC 3986's unreserved characters.
fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => write!(out, "%{byte:02X}").expect("a string takes all"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_path_are_encoded() {
        assert_eq!(path("/api", &["svc", "a b/c?"]), "/api/svc/a%20b%2Fc%3F");
        assert_eq!(path("/api", &[]), "/api");
    }

    #[test]
    fn an_error_answer_gives_its_reason() {
        let no = StatusCode::NOT_FOUND;
        assert_eq!(reason(no, br#"{"error":"no such thing"}"#), "no such thing");
        assert_eq!(reason(no, b"plain\n"), "plain");
        assert_eq!(reason(no, b""), "the mesh answered 404 Not Found");
    }
}
