//! The page of checks: what `mesh check` asks of the controller.

use super::{
    Dashboard,
    layout::{Section, command},
    live::{self, Form},
    paths,
};
use crate::http::check::full_report;
use axum::{Router, extract::State, response::Response, routing::get};
use maud::{Markup, html};
use mesh_api::{Check, CheckReport, CheckResult};

pub(super) fn routes() -> Router<Dashboard> {
    Router::new().route(paths::CHECK, get(page))
}

async fn page(State(dashboard): State<Dashboard>, form: Form) -> Response {
    let fixed = html! {
        p { "What the controller finds about the mesh. The command line also asks each sidecar:" }
        (command("mesh check"))
    };
    live::answer(
        &dashboard,
        form,
        (Section::Check, "Check", fixed),
        |dashboard| Ok(content(&full_report(&dashboard.app))),
    )
}

fn content(report: &CheckReport) -> Markup {
    html! {
        @for category in &report.categories {
            h2 { (category.name) }
            ul class="checks" {
                @for check in &category.checks { li { (finding(check)) } }
            }
        }
    }
}

fn finding(check: &Check) -> Markup {
    let (class, symbol, word) = match check.result {
        CheckResult::Success => ("healthy", "✓", "passed"),
        CheckResult::Warning => ("degraded", "!", "warning"),
        CheckResult::Error => ("failing", "✕", "failed"),
    };
    html! {
        span class={ "mark " (class) } { span aria-hidden="true" { (symbol) } " " (word) }
        " " (check.description)
        @if !check.details.is_empty() {
            ul { @for detail in &check.details { li { code { (detail) } } } }
        }
        @if let Some(hint) = &check.hint { p class="hint" { "To mend it: " (hint) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_api::CheckCategory;

    #[test]
    fn what_is_wrong_is_said_with_what_to_do_and_escaped() {
        let report = CheckReport {
            categories: vec![CheckCategory {
                name: "mesh-data-plane".into(),
                checks: vec![Check {
                    description: "every replica is ready".into(),
                    result: CheckResult::Error,
                    details: vec!["<b>web-0</b>".into()],
                    hint: Some("see `mesh ps`".into()),
                }],
            }],
            sidecars: vec![],
        };
        let text = content(&report).into_string();
        assert!(
            text.contains("failed") && text.contains("see `mesh ps`"),
            "{text}"
        );
        assert!(text.contains("&lt;b&gt;web-0"), "{text}");
    }
}
