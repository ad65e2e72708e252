//! Webhooks of a Canary, with the payload that Flagger sends.

use super::http::HttpClient;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use mesh_canary::{Answer, Hook, HookKind, Phase, Plan};
use serde::Serialize;
use std::{collections::BTreeMap, time::Duration};
use tokio::time::sleep;

/// Bytes of a refusal that are shown.
const MAX_TEXT: usize = 1024;
/// Pause before an attempt is repeated.
const PAUSE: Duration = Duration::from_millis(500);

/// Body of a webhook.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Payload {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) phase: &'static str,
    /// Revision that is analysed.
    pub(super) checksum: String,
    pub(super) metadata: BTreeMap<String, String>,
}

impl Payload {
    pub(super) fn new(plan: &Plan, phase: Phase, checksum: &str) -> Self {
        Self {
            name: plan.name.clone(),
            namespace: plan.namespace.clone(),
            phase: phase.as_str(),
            checksum: checksum.to_owned(),
            metadata: BTreeMap::new(),
        }
    }
}

/// Calls the webhooks of a kind in order, until the first failure; of `rollback`, until the first
/// success. Returns one answer for each that was called.
pub(super) async fn call_all(
    client: &HttpClient,
    hooks: &[Hook],
    kind: HookKind,
    payload: &Payload,
) -> Vec<Answer> {
    let mut answers = Vec::new();
    for hook in hooks.iter().filter(|hook| hook.kind == kind) {
        let answer = call(client, hook, payload).await;
        let is_last = answer.is_ok() == (kind == HookKind::Rollback);
        answers.push(answer);
        if is_last {
            break;
        }
    }
    answers
}

/// Calls one webhook, again if it could not be reached or answered 5xx, as often as it allows.
pub(super) async fn call(client: &HttpClient, hook: &Hook, payload: &Payload) -> Answer {
    let mut payload = payload.clone();
    payload.metadata.extend(hook.metadata.clone());
    let mut left = hook.retries;
    loop {
        let (answer, may_repeat) = attempt(client, hook, &payload).await;
        if answer.is_ok() || !may_repeat || left == 0 {
            return answer;
        }
        left -= 1;
        sleep(PAUSE).await;
    }
}

async fn attempt(client: &HttpClient, hook: &Hook, payload: &Payload) -> (Answer, bool) {
    let body = serde_json::to_vec(payload).expect("a payload is text");
    let request = Request::post(&hook.url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body));
    let request = match request {
        Ok(request) => request,
        Err(error) => return (Err(format!("{}: {error}", hook.url)), false),
    };
    let namespace = &payload.namespace;
    let sent = client.send(request, namespace, hook.timeout, MAX_TEXT);
    match sent.await {
        // 200 to 202, as Flagger has it: a redirect is no success.
        Ok(response) if response.status <= StatusCode::ACCEPTED => (Ok(()), false),
        Ok(response) => {
            let text = String::from_utf8_lossy(&response.body);
            let more = if response.is_cut { "..." } else { "" };
            let text = format!("{} {}{more}", response.status.as_u16(), text.trim());
            (Err(text), response.status.is_server_error())
        }
        Err(error) => (Err(format!("{error:#}")), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_control::index::Index;
    use std::collections::VecDeque;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    /// Answers each connection with the next of `replies`; an empty one hangs. Returns the address.
    async fn server(replies: &[&str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let mut replies: VecDeque<String> = replies.iter().map(|it| (*it).to_owned()).collect();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Some(reply) = replies.pop_front() {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut request = vec![0; 4096];
                let _ = socket.read(&mut request).await;
                let _ = socket.write_all(reply.as_bytes()).await;
                if reply.is_empty() {
                    held.push(socket);
                }
            }
            // Those that hang stay open.
            std::future::pending::<()>().await;
        });
        format!("http://{addr}/")
    }

    fn reply(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nlocation: /a\r\n\r\n{body}")
    }

    async fn answer(replies: &[&str], retries: u32, timeout: Duration) -> Answer {
        let hook = Hook {
            name: "a".into(),
            kind: HookKind::Rollout,
            url: server(replies).await,
            timeout,
            retries,
            metadata: Vec::new(),
        };
        let payload = Payload {
            name: "podinfo".into(),
            namespace: "test".into(),
            phase: "Progressing",
            checksum: String::new(),
            metadata: BTreeMap::new(),
        };
        call(
            &HttpClient::new(Index::new("cluster.local")),
            &hook,
            &payload,
        )
        .await
    }

    #[tokio::test]
    async fn only_200_to_202_is_a_success_and_the_text_of_others_is_shown() {
        const LONG: Duration = Duration::from_secs(10);
        for (status, success) in [
            ("200 OK", true),
            ("202 Accepted", true),
            ("204 No Content", false),
            ("302 Found", false),
            ("403 Forbidden", false),
        ] {
            let answer = answer(&[&reply(status, "no")], 0, LONG).await;
            assert_eq!(answer.is_ok(), success, "{status}: {answer:?}");
            assert!(success || answer.unwrap_err().starts_with(&status[..3]));
        }
        // 10 MB of text are not read to the end.
        let huge = reply("500 Internal Server Error", &"x".repeat(10 << 20));
        let text = answer(&[&huge], 0, LONG).await.unwrap_err();
        assert!(
            text.len() < 2 * MAX_TEXT && text.ends_with("..."),
            "{}",
            text.len()
        );
        let broken = answer(&["HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi"], 0, LONG).await;
        assert!(broken.unwrap_err().contains("broke off"));
    }

    #[tokio::test]
    async fn one_that_hangs_fails_at_its_time_limit() {
        let answer = answer(&[""], 0, Duration::from_millis(50)).await;
        assert_eq!(answer.unwrap_err(), "no response within 50ms");
    }

    #[tokio::test]
    async fn a_failure_of_the_server_is_repeated_as_often_as_allowed() {
        let limit = Duration::from_secs(10);
        let down = reply("503 Service Unavailable", "");
        let up = reply("200 OK", "");
        assert!(answer(&[&down, &up], 0, limit).await.is_err());
        assert!(answer(&[&down, &up], 1, limit).await.is_ok());
        let no = reply("403 Forbidden", "");
        assert!(answer(&[&no, &up], 1, limit).await.is_err());
    }
}
