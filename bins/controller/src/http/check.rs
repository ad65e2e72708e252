use super::App;
use axum::{Json, Router, extract::State, routing::get};
use mesh_api::{
    Check, CheckCategory, CheckReport, CheckRequest, CheckResult, Question, SidecarAddr,
};
use mesh_control::stats::targets;
use mesh_control::{
    index::{Index, Snapshot},
    model::{Pod, Resource, ServiceName, WorkloadKind},
};
use mesh_profile::Profile;

pub(super) fn routes() -> Router<App> {
    Router::new().route(CheckRequest::PATH, get(check))
}

async fn check(State(app): State<App>) -> Json<CheckReport> {
    Json(full_report(&app))
}

/// The findings about the control plane and about the mesh.
pub(super) fn full_report(app: &App) -> CheckReport {
    let mut report = report(&app.index);
    report.categories.insert(0, control_plane(app));
    report
}

fn control_plane(app: &App) -> CheckCategory {
    let about = &app.about;
    let running = format!(
        "the controller is running (version {}, process {})",
        about.version, about.pid
    );
    category(
        "mesh-control-plane",
        [
            finding(running, CheckResult::Error, vec![], ""),
            finding(
                format!("the controller serves sidecars on {}", about.grpc),
                CheckResult::Error,
                vec![],
                "",
            ),
        ],
    )
}

/// The checks that need only the index.
fn report(index: &Index) -> CheckReport {
    let snapshot = index.snapshot();
    let sidecars = targets(&snapshot).into_iter();
    CheckReport {
        categories: vec![data_plane(&snapshot), resources(index, &snapshot)],
        sidecars: sidecars
            .map(|(sidecar, admin)| SidecarAddr {
                pod: sidecar.pod.to_string(),
                admin,
            })
            .collect(),
    }
}

fn data_plane(snapshot: &Snapshot) -> CheckCategory {
    let gateway = Some(WorkloadKind::Gateway);
    let mut workloads = snapshot.workloads.iter();
    let none = match workloads.all(|workload| Some(workload.name.kind) == gateway) {
        true => vec!["the controller knows no workloads".into()],
        false => vec![],
    };
    let pods = |is_bad: fn(&Pod) -> bool| -> Vec<String> {
        let pods = snapshot.pods.iter();
        pods.filter(|pod| pod.workload.as_ref().map(|it| it.kind) != gateway && is_bad(pod))
            .map(|pod| format!("{}/{}", pod.namespace, pod.name))
            .collect()
    };
    let unmeshed = pods(|pod| !pod.is_meshed());
    let unready = pods(|pod| !pod.conditions.serving && !pod.conditions.terminating);
    category(
        "mesh-data-plane",
        [
            finding(
                "workloads exist",
                CheckResult::Warning,
                none,
                "start them with `mesh up`",
            ),
            finding(
                "every replica has a sidecar",
                CheckResult::Error,
                unmeshed,
                "see why with `mesh logs`",
            ),
            finding(
                "every replica is ready",
                CheckResult::Error,
                unready,
                "see their state with `mesh ps` and the reason with `mesh logs NAME`",
            ),
        ],
    )
}

fn resources(index: &Index, snapshot: &Snapshot) -> CheckCategory {
    let rejections = index.rejections();
    let rejected = rejections.iter().map(ToString::to_string).collect();
    let (mut unmatched, mut suspicious, mut split) = (Vec::new(), Vec::new(), Vec::new());
    for resource in &snapshot.resources {
        let Resource::ServiceProfile(profile) = resource else {
            let reference = resource.reference();
            let status = index.status(&reference);
            let unmet = status.unmet();
            split.extend(unmet.map(|condition| format!("{reference}: {}", condition.message)));
            continue;
        };
        let service = ServiceName::parse(&profile.name, "", index.domain());
        if !service.is_some_and(|service| index.has_service(&service)) {
            unmatched.push(format!(
                "{} of namespace {}",
                profile.name, profile.namespace
            ));
        }
        let lint = Profile::try_from((*profile.spec).clone()).map(|profile| profile.lint());
        let lint = lint.unwrap_or_default();
        suspicious.extend(
            lint.iter()
                .map(|found| format!("{}: {found}", profile.name)),
        );
    }
    category(
        "mesh-resources",
        [
            finding(
                "every file of a resource is valid",
                CheckResult::Error,
                rejected,
                "correct the file; until then the last good one is in force",
            ),
            finding(
                "the service of every ServiceProfile exists",
                CheckResult::Warning,
                unmatched,
                "compare the names with `mesh ps`, or delete them with `mesh delete sp/NAME`",
            ),
            finding(
                "no ServiceProfile has a suspicious route or budget",
                CheckResult::Warning,
                suspicious,
                "see what a request matches, and why, with `mesh explain`",
            ),
            finding(
                "every TrafficSplit is in force with all of its backends",
                CheckResult::Warning,
                split,
                "compare the names with `mesh ps`, or correct it with `mesh edit ts/NAME`",
            ),
        ],
    )
}

fn category(name: &str, checks: impl IntoIterator<Item = Check>) -> CheckCategory {
    CheckCategory {
        name: name.into(),
        checks: checks.into_iter().collect(),
    }
}

/// A check that is a success without `details`.
fn finding(
    description: impl Into<String>,
    otherwise: CheckResult,
    details: Vec<String>,
    hint: &str,
) -> Check {
    let is_fine = details.is_empty();
    Check {
        description: description.into(),
        result: if is_fine {
            CheckResult::Success
        } else {
            otherwise
        },
        details,
        hint: (!is_fine).then(|| hint.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admit;
    use mesh_control::model::{Conditions, Rejection, Workload, WorkloadName};

    fn results(report: &CheckReport) -> Vec<CheckResult> {
        let checks = report
            .categories
            .iter()
            .flat_map(|category| &category.checks);
        checks.map(|check| check.result).collect()
    }

    #[test]
    fn a_sound_mesh_passes_and_each_flaw_is_found() {
        use CheckResult::{Error, Success, Warning};

        let index = Index::new("cluster.local");
        assert_eq!(
            results(&report(&index)),
            [
                Warning, Success, Success, Success, Success, Success, Success
            ]
        );
        let sink = index.sink();
        let web = WorkloadName::deployment("web");
        let pod = |is_ready| {
            let conditions = if is_ready {
                Conditions::READY
            } else {
                Conditions::default()
            };
            Pod {
                workload: Some(web.clone()),
                admin: Some(([127, 0, 0, 1], 1).into()),
                conditions,
                ..Pod::new("shop", "web-0")
            }
        };
        sink.apply(Workload::new("shop", web.clone()));
        sink.apply(pod(true));
        assert_eq!(results(&report(&index)), [Success; 7]);

        let sidecars = report(&index).sidecars;
        assert_eq!(sidecars.len(), 1);
        assert_eq!(sidecars[0].pod, "web-0");

        sink.apply(pod(false));
        sink.reject(Rejection::of("a.yaml", "no"));
        let text = "apiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\n\
                    metadata: {name: wbe.shop.svc.cluster.local}\n\
                    spec: {routes: [{name: a, condition: {pathRegex: /b}}, {name: b, condition: {pathRegex: /b}}]}";
        let mut all = admit::read(text, "b.yaml", "shop", "cluster.local").unwrap();
        sink.apply(Resource::from(all.remove(0).resource));
        let report = report(&index);
        assert_eq!(
            results(&report)[..5],
            [Success, Success, Error, Error, Warning]
        );
        assert_eq!(report.categories[0].checks[2].details, ["shop/web-0"]);
        assert_eq!(report.categories[1].checks[0].details, ["a.yaml: no"]);
    }
}
