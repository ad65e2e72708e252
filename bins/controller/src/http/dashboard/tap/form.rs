//! The filter of a tap, as a form and as a command line.

use super::{EVENTS, paths};
use crate::http::{
    ApiError, App,
    dashboard::layout::{command, shell_word},
};
use maud::{Markup, html};
use mesh_api::TapRequest;
use serde::Deserialize;

/// The parameters of the page, as the form sends them: what is not filled in is empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Parameters {
    resource: String,
    namespace: String,
    to: String,
    to_namespace: String,
    method: String,
    authority: String,
    path: String,
    route: String,
    status: String,
    slower_than: String,
    reason: String,
    max_rps: String,
    retried: String,
    /// Begin at once.
    pub(super) start: bool,
}

impl Parameters {
    /// The parameters by their names in the API, and the flags of `mesh tap`.
    fn fields(&self) -> [(&'static str, &'static str, &str); 13] {
        [
            ("resource", "", &self.resource),
            ("namespace", "-n", &self.namespace),
            ("to", "--to", &self.to),
            ("to_namespace", "--to-namespace", &self.to_namespace),
            ("method", "--method", &self.method),
            ("authority", "--authority", &self.authority),
            ("path", "--path", &self.path),
            ("route", "--route", &self.route),
            ("status", "--status", &self.status),
            ("slower_than", "--slower-than", &self.slower_than),
            ("reason", "--reason", &self.reason),
            ("max_rps", "--max-rps", &self.max_rps),
            ("retried", "--retried", &self.retried),
        ]
        .map(|(name, flag, value)| (name, flag, value.trim()))
    }

    fn given(&self) -> Vec<(&'static str, &str)> {
        let fields = self.fields().into_iter();
        let given = fields.filter(|(_, _, value)| !value.is_empty());
        given.map(|(name, _, value)| (name, value)).collect()
    }

    /// The question to the API.
    pub(super) fn request(&self) -> Result<TapRequest, ApiError> {
        if self.resource.trim().is_empty() {
            return Err(ApiError::bad_request(
                "name a resource to tap, as in deploy/webapp",
            ));
        }
        let query = serde_urlencoded::to_string(self.given()).map_err(ApiError::bad_request)?;
        serde_urlencoded::from_str(&query).map_err(ApiError::bad_request)
    }

    fn events(&self) -> String {
        paths::with_query(EVENTS, &self.given())
    }

    /// The equivalent command line.
    fn command_line(&self) -> String {
        let mut words = vec!["mesh".to_owned(), "tap".to_owned()];
        for (name, flag, value) in self.fields() {
            match (name, value) {
                (_, "") => {}
                ("resource", value) => words.push(shell_word(value)),
                ("namespace", value) => words.extend([flag.to_owned(), shell_word(value)]),
                ("retried", _) => words.push(flag.to_owned()),
                (_, value) => words.push(format!("{flag}={}", shell_word(value))),
            }
        }
        words.join(" ")
    }
}

/// The form, and what it selects.
pub(super) fn content(app: &App, parameters: &Parameters) -> Markup {
    let checked = parameters.start.then(|| parameters.request());
    html! {
        (form(app, parameters))
        @match checked {
            None => p class="empty" {
                "Choose what to watch and press Start: each exchange appears when it is over, and opens \
                 to its headers and timings. Secrets in headers are replaced by the sidecar."
            },
            Some(Err(error)) => p class="empty" role="alert" { (error) "." },
            Some(Ok(_)) => (running(parameters)),
        }
    }
}

fn running(parameters: &Parameters) -> Markup {
    html! {
        h2 { "On the command line" }
        (command(&parameters.command_line()))
        noscript { p class="empty" { "Without scripts this page cannot follow requests; the command line above can." } }
        h2 id="exchanges-title" { "Exchanges " span id="count" {} }
        p class="tools" {
            button id="stop" type="button" { "Stop" }
            a id="ndjson" download hidden { "Save as NDJSON" }
            a id="har" download hidden { "Save as HAR" }
        }
        p id="waiting" class="empty" { "Waiting for the first exchange." }
        div id="tap" data-events=(parameters.events()) role="region" aria-labelledby="exchanges-title" {}
    }
}

fn form(app: &App, parameters: &Parameters) -> Markup {
    let snapshot = app.index.snapshot();
    let workloads = snapshot.workloads.iter();
    let own = match &*parameters.namespace {
        "" => app.index.default_namespace().to_string(),
        namespace => namespace.to_owned(),
    };
    let workloads = workloads.filter(|workload| *workload.namespace == *own);
    let services = snapshot.services.iter().map(|(service, _)| &service.name);
    let services = services.filter(|name| *name.namespace == *own);
    let text = |label: &str, name: &str, value: &str, hint: &str| {
        html! {
            label { (label) " " input name=(name) value=(value) placeholder=(hint) size="14"; }
        }
    };
    html! {
        form class="filter" method="get" action=(paths::TAP) {
            label { "Of "
                input name="resource" value=(parameters.resource) list="workloads" placeholder="deploy/webapp" size="20" required;
            }
            datalist id="workloads" {
                @for workload in workloads { option value={ "deploy/" (workload.name.name) } {} }
            }
            label { "To "
                input name="to" value=(parameters.to) list="services" placeholder="svc/books" size="16";
            }
            datalist id="services" {
                @for name in services { option value={ "svc/" (name.service) } {} }
            }
            (text("Namespace", "namespace", &parameters.namespace, &own))
            (text("Method", "method", &parameters.method, "GET"))
            (text("Path begins", "path", &parameters.path, "/books"))
            (text("Status", "status", &parameters.status, "5xx"))
            (text("Slower than", "slower_than", &parameters.slower_than, "300ms"))
            (text("Route", "route", &parameters.route, ""))
            (text("Reason", "reason", &parameters.reason, "timeout"))
            (text("Authority", "authority", &parameters.authority, ""))
            (text("Most a second", "max_rps", &parameters.max_rps, "100"))
            label class="inline" {
                input type="checkbox" name="retried" value="true" checked[!parameters.retried.is_empty()];
                "Retries only"
            }
            button name="start" value="true" { "Start" }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_a_question_and_a_command_line() {
        let parameters = Parameters {
            resource: "deploy/webapp".into(),
            namespace: "shop".into(),
            to: "svc/books".into(),
            path: "/a b".into(),
            status: "5xx".into(),
            retried: "true".into(),
            ..Parameters::default()
        };
        let request = parameters.request().unwrap();
        assert_eq!(request.path.as_deref(), Some("/a b"));
        assert!(request.retried);
        assert_eq!(
            parameters.command_line(),
            "mesh tap deploy/webapp -n shop --to=svc/books --path='/a b' --status=5xx --retried"
        );
        assert!(Parameters::default().request().is_err());
        let wrong = Parameters {
            status: "9".into(),
            ..parameters
        };
        assert!(wrong.request().is_err());
    }
}
