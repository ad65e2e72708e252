use super::*;

fn board(dir: &tempfile::TempDir) -> Board {
    Board::new(dir.path().join("workloads.json"), "shop").unwrap()
}

fn pod() -> Pod {
    let (_, status) = watch::channel(Status::default());
    Pod {
        program: None,
        sidecar: status,
        app: None,
    }
}

fn sidecar() -> Sidecar {
    Sidecar {
        inbound: Some(loopback(1)),
        admin: loopback(2),
        opaque: false,
        further: Vec::new(),
        revision: None,
    }
}

fn file(dir: &tempfile::TempDir) -> Workloads {
    serde_json::from_slice(&fs::read(dir.path().join("workloads.json")).unwrap()).unwrap()
}

#[test]
fn each_change_is_written_under_a_new_generation_and_no_change_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let board = board(&dir);
    board.declare("web", "web", Some(80), &[]);
    board.add("web", "web-0", &sidecar(), pod());
    let before = file(&dir);
    assert_eq!(before.workloads[0].replicas[0].pod, "web-0");

    board.update("web", "web-0", |replica| replica.ready = false);
    assert_eq!(file(&dir), before);
    board.update("web", "web-0", |replica| replica.ready = true);
    assert_eq!(file(&dir).generation, before.generation + 1);

    let next = Board::new(dir.path().join("workloads.json"), "shop").unwrap();
    drop(next);
    assert!(file(&dir).generation > before.generation);
}

#[test]
fn a_service_is_told_by_its_name_if_that_is_another() {
    let dir = tempfile::tempdir().unwrap();
    let board = board(&dir);
    for (service, port, told) in [
        ("web", Some(80), Some("web")),
        ("web-svc", Some(80), Some("web-svc")),
        ("web-svc", None, None),
    ] {
        board.declare("web", service, port, &[]);
        let workload = &file(&dir).workloads[0];
        assert_eq!(workload.service(), told);
        assert_eq!(workload.service.is_some(), told == Some("web-svc"));
        assert_eq!(board.owner(service).is_some(), told.is_some());
    }
}

#[tokio::test]
async fn who_waits_for_a_workload_goes_on_when_all_its_replicas_are_ready() {
    let dir = tempfile::tempdir().unwrap();
    let board = board(&dir);
    board.declare("web", "web", Some(80), &[]);
    board.add("web", "web-0", &sidecar(), pod());
    board.add("web", "web-1", &sidecar(), pod());
    assert!(!board.is_ready("web"));

    let waiting = tokio::spawn({
        let board = board.clone();
        async move { board.ready("web").await }
    });
    for pod in ["web-0", "web-1"] {
        board.update("web", pod, |replica| replica.ready = true);
    }
    waiting.await.unwrap();
    board.ready("no such workload").await;
}
