use super::{ApiError, App, query};
use crate::faults::{kind, share};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{delete, get},
};
use mesh_api::{Fault, FaultKind, FaultsRequest, Kind, NewFault, Question, Resource};
use mesh_control::{
    faults::DeclaredFault,
    index::Index,
    model::ServiceName,
    stats::{Topology, query::check_exists},
};
use mesh_profile::Route;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

/// The longest time of a fault, so that none is forgotten.
const MAX_TIME: Duration = Duration::from_secs(24 * 3600);

/// The longest delay, which is that of a sidecar.
const MAX_DELAY: Duration = Duration::from_secs(600);

pub(super) fn routes() -> Router<App> {
    Router::new()
        .route(FaultsRequest::PATH, get(list).post(add))
        .route(&format!("{}/{{id}}", FaultsRequest::PATH), delete(remove))
}

async fn list(State(app): State<App>) -> Json<Vec<Fault>> {
    Json(app.faults.list())
}

async fn add(State(app): State<App>, Json(new): Json<NewFault>) -> Result<Json<Fault>, ApiError> {
    check(&new).map_err(ApiError::invalid)?;
    let namespace: Arc<str> = query::namespace(&app, new.namespace).into();
    let service = ServiceName {
        service: new.service.as_str().into(),
        namespace: namespace.clone(),
    };
    let snapshot = app.index.snapshot();
    let topology = Topology::new(&snapshot);
    let exists =
        |resource: &Resource| check_exists(&query::store(&app), &topology, resource, &namespace);
    exists(&Resource::named(Kind::Service, &new.service))?;
    let from = match &new.from {
        None => None,
        Some(from) => match (from.kind, &from.name) {
            (Kind::Deployment, Some(name)) => {
                exists(from)?;
                Some((namespace.clone(), Arc::from(name.as_str())))
            }
            _ => {
                let reason = format!("{from} is no workload; name it as in deploy/webapp");
                return Err(ApiError::invalid(reason));
            }
        },
    };
    if let Some(route) = &new.route {
        check_route(&app.index, &service, route)?;
    }
    let added = app.faults.add(DeclaredFault {
        id: 0,
        service,
        route: new.route.map(Into::into),
        share: share(new.percent),
        kind: kind(new.kind),
        from,
        ends: SystemTime::now() + Duration::from_millis(new.for_ms),
    });
    let added = added.map_err(|error| ApiError::invalid(format_args!("{error:#}")))?;
    tracing::info!(id = added.id, service = added.service, kind = %added.kind, "fault added");
    Ok(Json(added))
}

async fn remove(State(app): State<App>, Path(id): Path<u64>) -> Result<StatusCode, ApiError> {
    if !app.faults.remove(id) {
        return Err(ApiError::not_found(format_args!("there is no fault {id}")));
    }
    tracing::info!(id, "fault removed");
    Ok(StatusCode::NO_CONTENT)
}

fn check(new: &NewFault) -> Result<(), String> {
    // Written so that NaN is refused, too.
    if !(share(new.percent) > 0 && new.percent <= 100.0) {
        return Err(format!(
            "{}% is no share; it must be above 0 and at most 100",
            new.percent
        ));
    }
    let time = Duration::from_millis(new.for_ms);
    if time.is_zero() || time > MAX_TIME {
        return Err(format!(
            "{time:?} is no time for a fault; it must be above 0s and at most 24h"
        ));
    }
    match new.kind {
        FaultKind::Status(status) if !(400..600).contains(&status) => Err(format!(
            "the status {status} is no error; it must be from 400 to 599"
        )),
        FaultKind::GrpcStatus(code) if !(1..=16).contains(&code) => Err(format!(
            "the gRPC status {code} is no error; it must be from 1 to 16"
        )),
        FaultKind::Delay { min_ms, max_ms }
            if max_ms == 0 || min_ms > max_ms || Duration::from_millis(max_ms) > MAX_DELAY =>
        {
            Err(format!(
                "{} must be above 0s and at most {MAX_DELAY:?}, and a range must not end before it \
                 begins",
                new.kind
            ))
        }
        _ => Ok(()),
    }
}

/// A fault for a route that no request can have would do nothing, unseen.
fn check_route(index: &Index, service: &ServiceName, route: &str) -> Result<(), ApiError> {
    let snapshot = index.snapshot();
    let mut services = snapshot.services.iter().map(|(service, _)| service);
    let ports = services.find(|known| known.name == *service);
    let ports = ports.into_iter().flat_map(|known| &known.ports);
    let namespace = &service.namespace;
    let apexes = ports.map(|port| index.apex(&format!("{service}:{}", port.number), namespace));
    let apexes: Vec<_> = apexes.collect();
    let names = || {
        let routes = apexes.iter().flat_map(|apex| apex.profile.routes());
        routes.map(|route| &**route.name())
    };
    if route == Route::DEFAULT_NAME || names().any(|name| name == route) {
        return Ok(());
    }
    let mut known: Vec<_> = names().collect();
    known.sort_unstable();
    known.dedup();
    let known = match &known[..] {
        [] => "it has no profile; `mesh profile` makes one".to_owned(),
        some => format!("it has {}", some.join(", ")),
    };
    Err(ApiError::not_found(format_args!(
        "{} has no route {route:?}: {known}",
        service.service
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_injected_is_refused_with_the_reason() {
        let good = NewFault {
            namespace: None,
            service: "books".into(),
            route: None,
            percent: 10.0,
            kind: FaultKind::Status(503),
            from: None,
            for_ms: 300_000,
        };
        assert_eq!(check(&good), Ok(()));
        let refused = |change: &dyn Fn(&mut NewFault)| {
            let mut new = good.clone();
            change(&mut new);
            check(&new).unwrap_err()
        };
        for percent in [0.0, -1.0, 100.1, f64::NAN, 0.000_01] {
            assert!(refused(&|new| new.percent = percent).contains("is no share"));
        }
        for for_ms in [0, 86_400_001, u64::MAX] {
            assert!(refused(&|new| new.for_ms = for_ms).contains("no time for a fault"));
        }
        let delay = |min_ms, max_ms| FaultKind::Delay { min_ms, max_ms };
        for kind in [
            FaultKind::Status(200),
            FaultKind::Status(600),
            FaultKind::GrpcStatus(0),
            FaultKind::GrpcStatus(17),
            delay(0, 0),
            delay(2, 1),
            delay(0, 600_001),
        ] {
            assert!(
                refused(&|new| new.kind = kind).contains("must be"),
                "{kind}"
            );
        }
    }
}
