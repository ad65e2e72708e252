//! The labels that the questions ask for, parsed once and shared.

use super::{
    Family,
    family::bucket,
    text::{self, Line},
};
use std::{collections::HashSet, sync::Arc};

/// Toward the workload, or away from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Toward the workload.
    #[default]
    Inbound,
    /// Away from it.
    Outbound,
}

/// The classification of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `classification="success"`.
    Success,
    /// `classification="failure"`.
    Failure,
}

/// The labels of a series that are kept; series that differ only in others are one here.
///
/// Those of the workload itself are not among them: they are the same on every series of a
/// sidecar, which is known by its [`Sidecar`](super::Sidecar).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Labels {
    /// `direction`.
    pub direction: Direction,
    /// `classification`.
    pub outcome: Option<Outcome>,
    /// `rt_route`; absent for requests that matched no route.
    pub route: Option<Arc<str>>,
    /// `dst`: the name and port of the apex a request went to.
    pub dst: Option<Arc<str>>,
    /// `dst_apex`: the apex of a request that an endpoint got.
    pub dst_apex: Option<Arc<str>>,
    /// `authority`; of a request to an endpoint, the leaf.
    pub authority: Option<Arc<str>>,
    /// `dst_namespace`; absent where discovery knew nothing.
    pub dst_namespace: Option<Arc<str>>,
    /// `dst_service`.
    pub dst_service: Option<Arc<str>>,
    /// `dst_deployment`.
    pub dst_deployment: Option<Arc<str>>,
    /// `dst_pod`.
    pub dst_pod: Option<Arc<str>>,
    /// `tls`.
    pub tls: Option<Arc<str>>,
    /// `no_tls_reason`.
    pub no_tls_reason: Option<Arc<str>>,
    /// `client_id`.
    pub client_id: Option<Arc<str>>,
    /// `server_id`.
    pub server_id: Option<Arc<str>>,
    /// The connection was accepted: its label `peer` is `src`.
    pub is_accepted: bool,
}

/// One counter, one gauge, or one bucket of a histogram.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Series {
    pub(crate) family: Family,
    pub(crate) bucket: u8,
    pub(crate) labels: Arc<Labels>,
}

/// Keeps one copy of what many series have in common.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    strings: HashSet<Arc<str>>,
    labels: HashSet<Arc<Labels>>,
}

impl Interner {
    /// The series that a line of a kept family belongs to; `None` if it lacks what it must have.
    pub(crate) fn series(&mut self, family: Family, line: &Line<'_>) -> Option<Series> {
        let mut labels = Labels::default();
        let mut le = None;
        for (name, value) in text::labels(line.labels) {
            let field = match name {
                "direction" => {
                    labels.direction = match &*value {
                        "inbound" => Direction::Inbound,
                        "outbound" => Direction::Outbound,
                        _ => return None,
                    };
                    continue;
                }
                "classification" => {
                    labels.outcome = match &*value {
                        "success" => Some(Outcome::Success),
                        "failure" => Some(Outcome::Failure),
                        _ => None,
                    };
                    continue;
                }
                "le" => {
                    le = bucket(&value);
                    continue;
                }
                "peer" => {
                    labels.is_accepted = value == "src";
                    continue;
                }
                "rt_route" => &mut labels.route,
                "dst" => &mut labels.dst,
                "dst_apex" => &mut labels.dst_apex,
                "authority" => &mut labels.authority,
                "dst_namespace" => &mut labels.dst_namespace,
                "dst_service" => &mut labels.dst_service,
                "dst_deployment" => &mut labels.dst_deployment,
                "dst_pod" => &mut labels.dst_pod,
                "tls" => &mut labels.tls,
                "no_tls_reason" => &mut labels.no_tls_reason,
                "client_id" => &mut labels.client_id,
                "server_id" => &mut labels.server_id,
                _ => continue,
            };
            // Prometheus' rule: an empty label is an absent one.
            *field = (!value.is_empty()).then(|| self.string(&value));
        }
        Some(Series {
            family,
            bucket: if family.is_histogram() { le? } else { 0 },
            labels: self.share(labels),
        })
    }

    fn string(&mut self, value: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(value) {
            return Arc::clone(known);
        }
        let new: Arc<str> = value.into();
        self.strings.insert(Arc::clone(&new));
        new
    }

    fn share(&mut self, labels: Labels) -> Arc<Labels> {
        if let Some(known) = self.labels.get(&labels) {
            return Arc::clone(known);
        }
        let new = Arc::new(labels);
        self.labels.insert(Arc::clone(&new));
        new
    }

    /// Drops strings that no series uses any more.
    pub(crate) fn sweep(&mut self) {
        self.labels.retain(|labels| Arc::strong_count(labels) > 1);
        self.strings.retain(|string| Arc::strong_count(string) > 1);
        self.labels.shrink_to(2 * self.labels.len());
        self.strings.shrink_to(2 * self.strings.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(interner: &mut Interner, text: &str) -> Option<Series> {
        let line = text::lines(text).next().unwrap();
        interner.series(Family::of(line.name).unwrap(), &line)
    }

    #[test]
    fn series_that_differ_in_what_nobody_asks_for_are_one() {
        let mut interner = Interner::default();
        let text = |addr| {
            format!("request_total{{direction=\"outbound\",target_addr=\"{addr}\",tls=\"\"}} 1")
        };
        let one = series(&mut interner, &text("127.0.0.1:1")).unwrap();
        let other = series(&mut interner, &text("127.0.0.1:2")).unwrap();
        assert_eq!(one, other);
        assert!(Arc::ptr_eq(&one.labels, &other.labels));
        assert_eq!(one.labels.direction, Direction::Outbound);
        assert_eq!(one.labels.tls, None);
    }

    #[test]
    fn a_bucket_without_a_known_bound_is_no_series() {
        let mut interner = Interner::default();
        let text =
            |le| format!("response_latency_ms_bucket{{direction=\"inbound\",le=\"{le}\"}} 1");
        assert_eq!(series(&mut interner, &text("2")).unwrap().bucket, 1);
        assert_eq!(series(&mut interner, &text("2.5")), None);
        assert_eq!(series(&mut interner, "response_latency_ms_bucket 1"), None);
    }

    #[test]
    fn what_is_no_longer_used_is_forgotten() {
        let mut interner = Interner::default();
        let kept = series(&mut interner, "request_total{authority=\"a\"} 1");
        series(&mut interner, "request_total{authority=\"b\"} 1");
        assert_eq!(interner.labels.len(), 2);
        interner.sweep();
        assert_eq!((interner.labels.len(), interner.strings.len()), (1, 1));
        drop(kept);
        interner.sweep();
        assert_eq!((interner.labels.len(), interner.strings.len()), (0, 0));
    }
}
