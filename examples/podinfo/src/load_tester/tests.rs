use super::*;
use crate::serve::tests::{send, text};
use axum::body::Body;
use std::fs;

fn tester() -> Router {
    router(Duration::from_secs(10))
}

async fn ask(tester: &Router, path: &str, payload: &str) -> (u16, String) {
    let request = Request::post(path).body(Body::from(payload.to_owned()));
    let response = send(tester, request.unwrap()).await;
    (response.status().as_u16(), text(response).await)
}

#[tokio::test]
async fn gates_are_closed_until_they_are_opened() {
    let tester = tester();
    let payload = r#"{"name":"podinfo","namespace":"test"}"#;
    for prefix in ["/gate", "/rollback"] {
        for (verb, status) in [
            ("check", 403),
            ("open", 202),
            ("check", 200),
            ("close", 202),
            ("check", 403),
        ] {
            let (actual, _) = ask(&tester, &format!("{prefix}/{verb}"), payload).await;
            assert_eq!(actual, status, "{prefix}/{verb}");
        }
    }
    assert_eq!(ask(&tester, "/gate/approve", "").await, (200, "OK".into()));
    assert_eq!(ask(&tester, "/gate/halt", "").await.0, 403);
}

#[tokio::test]
async fn a_bash_task_answers_with_its_result() {
    let tester = tester();
    let run = async |cmd: &str| {
        let payload = format!(
            r#"{{"name":"a","namespace":"b","metadata":{{"type":"bash","cmd":"{cmd}","returnCmdOutput":"true"}}}}"#
        );
        ask(&tester, "/", &payload).await
    };
    assert_eq!(run("echo token").await, (200, "token\n".into()));
    let (status, text) = run("echo no; exit 3").await;
    assert_eq!(status, 500);
    assert_eq!(text, "command echo no; exit 3 failed: no: exit status: 3");
}

#[tokio::test]
async fn a_command_runs_once_at_a_time_in_the_background() {
    let folder = tempfile::tempdir().unwrap();
    let (log, go) = (folder.path().join("log"), folder.path().join("go"));
    // Opening a FIFO waits for the other end.
    let made = std::process::Command::new("mkfifo")
        .arg(&go)
        .status()
        .unwrap();
    assert!(made.success());
    let payload = serde_json::json!({
        "name": "a", "namespace": "b",
        "metadata": { "cmd": format!("echo once >> {}; cat {}", log.display(), go.display()) },
    });
    let tester = tester();
    for _ in 0..2 {
        assert_eq!(ask(&tester, "/", &payload.to_string()).await.0, 202);
    }
    let path = go.clone();
    tokio::task::spawn_blocking(move || fs::write(path, "go"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(fs::read_to_string(log).unwrap(), "once\n");
}

#[tokio::test]
async fn what_is_wrong_is_said() {
    let tester = tester();
    for (payload, reason) in [
        ("{", "the payload is invalid"),
        (r#"{"name":"a"}"#, "metadata not found in payload"),
        (
            r#"{"metadata":{"type":"helm","cmd":"x"}}"#,
            "unknown task type helm",
        ),
        (
            r#"{"metadata":{"type":"bash"}}"#,
            "cmd not found in metadata",
        ),
    ] {
        let (status, text) = ask(&tester, "/", payload).await;
        assert_eq!(status, 400, "{payload}");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn web_pages_are_refused() {
    let request = Request::post("/gate/approve").header(header::ORIGIN, "http://evil.example");
    let response = send(&tester(), request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
}
