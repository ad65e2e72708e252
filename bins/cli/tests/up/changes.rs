//! Tests of changes of `mesh.yaml` while a mesh runs.

use super::*;

#[test]
fn a_changed_file_restarts_only_what_changed() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    let before = pids(&mesh);

    let again = mesh.ok(&["up"]);
    assert!(again.contains("nothing changed"), "{again}");
    assert_eq!(pids(&mesh), before);

    let changed = TWO.replace("sleep 1000", "sleep 2000").replace(
        "    host_port: false\n",
        "    host_port: false\n    replicas: 2\n",
    );
    fs::write(mesh.folder().join("mesh.yaml"), changed).unwrap();
    let changed = mesh.ok(&["up"]);
    assert!(changed.contains("idle restarted"), "{changed}");
    assert!(changed.contains("web scaled from 1 to 2"), "{changed}");
    let after = pids(&mesh);
    assert_eq!(after["web-0"], before["web-0"]);
    assert_ne!(after["idle-0"], before["idle-0"]);
    assert!(after["web-1"].is_i64());

    // A file that makes no sense changes nothing.
    fs::write(mesh.folder().join("mesh.yaml"), "workloads: {web: {}}\n").unwrap();
    let no = mesh.run(&["up"]);
    assert_eq!(no.status.code(), Some(1));
    assert!(error(&no).contains("web` has no command"), "{}", error(&no));
    assert_eq!(pids(&mesh), after);

    let restarted = mesh.ok(&["restart", "web"]);
    assert_eq!(restarted, "web restarted\n");
    assert_ne!(pids(&mesh)["web-0"], after["web-0"]);
    let no = mesh.run(&["restart", "wbe"]);
    assert!(error(&no).contains("did you mean `web`?"), "{}", error(&no));
}

#[test]
fn a_workload_is_scaled_and_runs_the_revision_that_is_asked_for() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    let before = pids(&mesh);
    let scaled = mesh.ok(&["scale", "web", "--replicas", "2"]);
    assert_eq!(scaled, "web scaled to 2\n");
    let two = wait_for(
        "the second replica",
        PATIENCE,
        || pids(&mesh),
        |pids| pids.get("web-1").is_some_and(Value::is_i64),
    );
    assert_eq!(two["web-0"], before["web-0"]);

    let revised = mesh.ok(&["scale", "deploy/web", "--revision", "v2"]);
    assert_eq!(revised, "web runs revision v2\n");
    let revised = pids(&mesh);
    assert_ne!(revised["web-0"], two["web-0"]);
    assert_ne!(revised["web-1"], two["web-1"]);
    let environment = fs::read(format!("/proc/{}/environ", revised["web-0"])).unwrap();
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("MESH_REVISION=v2\0"), "{environment}");
    let file = mesh.folder().join(".mesh/run/workloads.json");
    let known = fs::read_to_string(file).unwrap();
    assert_eq!(known.matches(r#""revision": "v2""#).count(), 2, "{known}");

    for (args, reason) in [
        (
            &["scale", "wbe", "--replicas", "1"][..],
            "did you mean `web`?",
        ),
        (&["scale", "web", "--replicas", "9999"], "at most"),
        (&["scale", "web", "--revision", "a b"], "revision \"a b\""),
    ] {
        let no = mesh.run(args);
        assert_eq!(no.status.code(), Some(1), "{args:?}");
        assert!(error(&no).contains(reason), "{}", error(&no));
    }
    // What the file says holds when it is read again.
    let again = mesh.ok(&["up"]);
    assert!(again.contains("web restarted"), "{again}");
    let left = pids(&mesh);
    let left = left.keys().filter(|name| name.starts_with("web-"));
    assert_eq!(left.count(), 1);
}

#[test]
fn manifests_are_applied_when_they_changed_and_edits_win_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("web.yaml");
    let manifest = |route: &str| {
        format!(
            "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
             name: web.shop.svc.cluster.local\n  namespace: shop\nspec:\n  routes:\n  \
             - name: {route}\n    condition:\n      pathRegex: /\n"
        )
    };
    fs::write(&profile, manifest("first")).unwrap();
    let config = format!("{TWO}manifests: [{}]\n", profile.display());
    let mesh = Mesh::up(&config);
    ready(&mesh);
    let get = |mesh: &Mesh| mesh.ok(&["get", "sp", "web", "-o", "yaml"]);
    assert!(get(&mesh).contains("name: first"));

    let edited = mesh.feed(&["apply", "-f", "-"], &manifest("edited"));
    assert_eq!(
        edited,
        "serviceprofile.linkerd.io/web.shop.svc.cluster.local configured\n"
    );
    mesh.ok(&["down"]);
    mesh.ok(&["up", "-d"]);
    assert!(get(&mesh).contains("name: edited"), "the file is as it was");

    fs::write(&profile, manifest("second")).unwrap();
    mesh.ok(&["up"]);
    assert!(get(&mesh).contains("name: second"));

    // Of two files, one invalid: neither is applied.
    fs::write(folder.path().join("a.yaml"), manifest("third")).unwrap();
    fs::write(
        &profile,
        manifest("third").replace("pathRegex: /", "pathRegex: ("),
    )
    .unwrap();
    let no = mesh.run(&["apply", "-f", folder.path().to_str().unwrap()]);
    assert_eq!(no.status.code(), Some(1));
    assert!(error(&no).contains("web.yaml:10:"), "{}", error(&no));
    assert!(get(&mesh).contains("name: second"));
    let deleted = mesh.ok(&["delete", "sp/web"]);
    assert_eq!(
        deleted,
        "serviceprofile.linkerd.io/web.shop.svc.cluster.local deleted\n"
    );
    mesh.ok(&["down"]);
}

#[test]
fn an_invalid_edit_is_opened_again_with_the_reason_on_top() {
    let mesh = Mesh::up(TWO);
    ready(&mesh);
    mesh.feed(
        &["apply", "-f", "-"],
        "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  \
         name: web.shop.svc.cluster.local\nspec:\n  routes:\n  - name: a\n    condition:\n      \
         pathRegex: /\n",
    );
    // First it breaks the file; shown the reason, it mends it.
    let editor = mesh.folder().join("editor");
    fs::write(
        &editor,
        "#!/bin/sh\nif grep -q '^#! .*conditon' \"$1\"; then cp \"$1\" shown; \
         sed -i 's/conditon/condition/; s/name: a$/name: b/' \"$1\"; else \
         sed -i 's/condition/conditon/' \"$1\"; fi\n",
    )
    .unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(&editor, fs::Permissions::from_mode(0o755)).unwrap();
    let mut edit = mesh.command(&["edit", "sp/web"]);
    let edited = edit
        .env("EDITOR", "./editor")
        .env_remove("VISUAL")
        .output()
        .unwrap();
    assert!(edited.status.success(), "{}", error(&edited));
    assert!(String::from_utf8_lossy(&edited.stdout).ends_with("configured\n"));
    let shown = fs::read_to_string(mesh.folder().join("shown")).unwrap();
    assert!(shown.starts_with("#! Please"), "{shown}");
    assert!(
        mesh.ok(&["get", "sp", "web", "-o", "yaml"])
            .contains("name: b")
    );

    let mut edit = mesh.command(&["edit", "sp/web"]);
    let same = edit
        .env("EDITOR", "true")
        .env_remove("VISUAL")
        .output()
        .unwrap();
    assert!(same.status.success() && error(&same).contains("Edit cancelled"));
}
