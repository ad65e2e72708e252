//! Faults that the controller wants injected into requests to one destination.

use http::StatusCode;
use mesh_discover::{FaultKind, FaultRule};
use mesh_fault::{FaultLayer, Faults, Injection, InjectionId, InvalidInjection, Kind, Share};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};
use tokio::time::Instant;

/// The whole of a share, in the unit of a rule.
const WHOLE: u32 = 1_000_000;

/// The faults of one destination, which the stacks of all workers share.
#[derive(Debug, Default)]
pub(crate) struct DestinationFaults {
    faults: Faults,
    /// The injection of each rule in force, by number of the rule.
    injected: Mutex<HashMap<u64, InjectionId>>,
}

impl DestinationFaults {
    /// A layer for one worker's stack.
    pub(crate) fn layer(&self) -> FaultLayer {
        self.faults.layer()
    }

    /// Injects what `rules` say, and nothing else. A rule that stays keeps its turns and its end.
    pub(crate) fn apply<'a>(&self, rules: impl IntoIterator<Item = &'a FaultRule>) {
        let rules: HashMap<u64, &FaultRule> = rules.into_iter().map(|it| (it.id, it)).collect();
        let mut injected = self.injected.lock().unwrap_or_else(PoisonError::into_inner);
        injected.retain(|id, injection| {
            let stays = rules.contains_key(id);
            if !stays {
                self.faults.remove(*injection);
            }
            stays
        });
        for (id, rule) in rules {
            if injected.contains_key(&id) {
                continue;
            }
            let left = rule.ends.checked_duration_since(Instant::now().into_std());
            let Some(left) = left.filter(|left| !left.is_zero()) else {
                continue;
            };
            let added = injection(rule)
                .and_then(|injection| injection.with_duration(left))
                .map_err(|error| error.to_string())
                .and_then(|it| self.faults.add(it).map_err(|error| error.to_string()));
            match added {
                Ok(injection) => drop(injected.insert(id, injection)),
                Err(error) => tracing::warn!(id, service = %rule.service, "no fault: {error}"),
            }
        }
    }

    /// The number of active faults.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.faults.list().len()
    }

    /// The requests that were injected into, by kind.
    pub(crate) fn totals(&self) -> impl Iterator<Item = (Kind, u64)> + use<> {
        self.faults.totals().into_iter()
    }
}

fn injection(rule: &FaultRule) -> Result<Injection, InvalidInjection> {
    let injection = match rule.kind {
        // What is no status at all is refused like one that is no error.
        FaultKind::Status(status) => {
            Injection::status(StatusCode::from_u16(status).unwrap_or_default())
        }
        FaultKind::GrpcStatus(code) => Injection::grpc_status(code),
        FaultKind::Delay { min, max } => Injection::delay_between(min..=max),
        FaultKind::Reset => Ok(Injection::reset()),
    }?;
    let injection = injection.with_share(Share::ratio(rule.share, WHOLE)?);
    Ok(match &rule.route {
        Some(route) => injection.with_route(route.clone()),
        None => injection,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn rule(id: u64, kind: FaultKind, seconds: u64) -> FaultRule {
        FaultRule {
            id,
            service: "books".into(),
            route: Some("GET /".into()),
            share: 100_000,
            kind,
            ends: Instant::now().into_std() + Duration::from_secs(seconds),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn faults_are_those_of_the_rules_until_they_end() {
        let faults = DestinationFaults::default();
        let active = || {
            let active = faults.faults.list();
            active
                .iter()
                .map(|it| it.injection.kind())
                .collect::<Vec<_>>()
        };
        let (status, reset) = (
            rule(1, FaultKind::Status(503), 10),
            rule(2, FaultKind::Reset, 20),
        );
        faults.apply([&status]);
        let first = faults.faults.list()[0].id;
        faults.apply([&status, &reset]);
        assert_eq!(active(), [Kind::Status, Kind::Reset]);
        // One that stays is not counted anew, and has the share and the route that it must.
        let kept = faults.faults.list().remove(0);
        assert_eq!((kept.id, kept.injection.route()), (first, Some("GET /")));
        assert_eq!(kept.injection.share().as_percent(), 10.0);

        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(active(), [Kind::Reset]);
        // What is over stays over, whoever says it again.
        faults.apply([&status, &reset]);
        assert_eq!(active(), [Kind::Reset]);
        faults.apply([]);
        assert_eq!(active(), []);
        faults.apply([&status]);
        assert_eq!(active(), []);
    }

    #[test]
    fn rules_that_cannot_be_are_ignored() {
        let delay = |min, max| FaultKind::Delay {
            min: Duration::from_secs(min),
            max: Duration::from_secs(max),
        };
        let kinds = [
            FaultKind::Status(0),
            FaultKind::Status(200),
            FaultKind::GrpcStatus(99),
            delay(2, 1),
            delay(0, 9_999),
        ];
        for kind in kinds {
            assert!(injection(&rule(1, kind, 10)).is_err(), "{kind:?}");
        }
        let none = FaultRule {
            share: 0,
            ..rule(1, FaultKind::Reset, 10)
        };
        assert!(injection(&none).is_err());
    }
}
