//! The dashboard in a browser, as a person uses it: find the route that fails by clicking, tap a
//! failing request, and open it.
//!
//! `MESH_AXE` names a file `axe.min.js` (of the package axe-core) by which each page is checked, and
//! `MESH_SCREENSHOTS` a folder for pictures of each page in both themes and three widths.

mod support;

use serde_json::Value;
use std::{env, fs, path::Path};
use support::{Mesh, bookshop, browser::Page, build, free_port, root};

const WIDTHS: [u32; 3] = [360, 900, 1440];

#[test]
fn a_failing_request_is_found_by_clicking() {
    let Some(mut page) = Page::open() else {
        mesh_skips::skip("the dashboard is tested in Chromium, which is not here");
        return;
    };
    let mesh = Mesh::up(&bookshop(&build("booksapp"), free_port()));
    mesh.wait_until_ready();
    for service in ["webapp", "authors", "books"] {
        let document = root().join(format!("examples/booksapp/swagger/{service}.yaml"));
        let document = document.to_str().expect("a plain path");
        let profile = mesh.ok(&["profile", "--open-api", document, service]);
        mesh.feed(&["apply", "-f", "-"], &profile);
    }
    let url = mesh.ok(&["dashboard", "--show", "url"]);
    let url = url.trim().trim_end_matches('/').to_owned();
    assert!(mesh.log().contains(&format!("dashboard: {url}/")));

    // The overview says what fails, first, and follows the numbers without being loaded again.
    page.look(1440, "light");
    page.go(&format!("{url}/"));
    page.eval("window.isTheSame = true");
    page.wait_for("document.querySelector('tr.failing a[href$=\"/authors\"]')");
    page.wait_for("document.querySelectorAll('svg.graph path.edge').length >= 3");
    page.wait_for("document.querySelector('tbody tr').className === 'failing'");
    assert_eq!(page.eval("window.isTheSame"), true);
    assert_eq!(
        page.eval("document.getElementById('freshness').innerText"),
        "Live"
    );

    // Its page names the route.
    page.click("tr.failing a[href$=\"/authors\"]");
    page.wait_for("location.pathname === '/namespaces/booksapp/deployments/authors'");
    page.wait_for(
        "[...document.querySelectorAll('tr.failing th')].some((it) => it.innerText === 'HEAD /authors/{id}.json')",
    );

    // Its failures are tapped, and one is opened.
    page.click("a[href*=\"status=5xx\"]");
    page.wait_for("document.querySelector('.exchange.failing')");
    page.click("#stop");
    page.wait_for("document.getElementById('freshness').innerText === 'Stopped'");
    page.click(".exchange.failing summary");
    page.wait_for("document.querySelector('.exchange[open]')");
    let text = page.eval("document.querySelector('.exchange[open]').innerText");
    let text = text.as_str().expect("a text");
    for part in [
        "/authors/",
        "HEAD /authors/{id}.json",
        "Request headers",
        "50",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let har = page.eval("fetch(document.getElementById('har').href).then((it) => it.json())");
    let entries = har["log"]["entries"].as_array().expect("entries");
    assert!(
        entries
            .iter()
            .all(|entry| entry["response"]["status"].as_u64() >= Some(500))
    );
    assert!(!entries.is_empty());
    inspect(&mut page, "tap-open");

    for (name, path) in [
        ("overview", "/"),
        ("workload", "/namespaces/booksapp/deployments/books"),
        ("routes", "/routes"),
        ("tap", "/tap"),
        (
            "explain",
            "/explain?method=PUT&url=http%3A%2F%2Fbooks%3A7002%2Fbooks%2F1.json&from=deploy%2Fwebapp",
        ),
        ("check", "/check"),
        ("error", "/namespaces/booksapp/deployments/none"),
    ] {
        page.go(&format!("{url}{path}"));
        inspect(&mut page, name);
    }
}

/// Each page fits narrow screens, breaks no rule of its policy, and is accessible.
fn inspect(page: &mut Page, name: &str) {
    for theme in ["light", "dark"] {
        for width in WIDTHS {
            page.look(width, theme);
            let wide = page.eval("document.documentElement.scrollWidth");
            assert!(
                wide.as_u64() <= Some(width.into()),
                "{name} at {width}: {wide}"
            );
            if let Some(folder) = env::var_os("MESH_SCREENSHOTS") {
                let file = format!("{name}-{theme}-{width}.png");
                page.save(&Path::new(&folder).join(file));
            }
        }
        if let Some(axe) = env::var_os("MESH_AXE") {
            let axe = fs::read_to_string(axe).expect("MESH_AXE is a file");
            page.eval(&format!("{axe};0"));
            let found = page.eval("axe.run().then((it) => it.violations)");
            let found: Vec<_> = found
                .as_array()
                .expect("a list")
                .iter()
                .map(summary)
                .collect();
            assert!(found.is_empty(), "{name}, {theme}: {found:#?}");
        }
    }
    let violations = page.eval("window.violations");
    assert_eq!(violations, Value::Array(Vec::new()), "{name}");
    page.look(1440, "light");
}

fn summary(violation: &Value) -> String {
    let nodes = violation["nodes"].as_array().into_iter().flatten();
    let nodes: Vec<_> = nodes
        .map(|node| format!("{} {}", node["html"], node["failureSummary"]))
        .collect();
    format!(
        "{} ({}): {}",
        violation["id"],
        violation["impact"],
        nodes.join("\n")
    )
}
