//! A tap and the request that sidecars get for it.

use crate::stats::query::Peer;
use http::Method;
use linkerd2_proxy_api::tap::{
    ObserveRequest,
    observe_request::{
        Extract, Match, extract,
        r#match::{
            self, Http, Label, Seq,
            http::{self as wire, StringMatch, string_match},
        },
    },
};
use mesh_api::{Kind, Resource};
use mesh_tap::Filter;
use std::fmt;

/// The default limit of requests per second.
const MAX_RPS: f32 = 100.0;

/// The pods to tap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A namespace, a workload or a replica.
    pub resource: Resource,
    /// The namespace.
    pub namespace: String,
}

/// A tap: the pods to watch, and a filter of their requests.
#[derive(Clone, Debug)]
pub struct TapQuery {
    /// The pods to watch.
    pub target: Target,
    /// Shows only requests to this resource.
    pub to: Option<Peer>,
    /// Shows only requests of this scheme.
    pub scheme: Option<String>,
    /// Shows only requests with this method.
    pub method: Option<String>,
    /// Shows only requests with exactly this authority.
    pub authority: Option<String>,
    /// Shows only requests whose path has this prefix.
    pub path_prefix: Option<String>,
    /// Shows only requests of the route with this name.
    pub route: Option<String>,
    /// Further conditions, which are not sent to proxies but applied to their events here.
    pub filter: Filter,
    /// Includes the headers of requests and responses.
    pub headers: bool,
    /// The approximate limit of requests per second, shared by the pods; zero for the default, 100.
    pub max_rps: f32,
}

/// A filter in the form sidecars understand.
#[derive(Clone, Debug)]
pub struct Matching(Vec<Match>);

impl TapQuery {
    /// Converts the filter for sidecars.
    ///
    /// # Errors
    ///
    /// [`InvalidMethod`] if the method is not a valid HTTP method.
    pub fn matching(&self) -> Result<Matching, InvalidMethod> {
        let mut all = Vec::new();
        if let Some(to) = &self.to {
            let labels = destination_labels(to);
            all.extend(labels.map(|(key, value)| {
                r#match::Match::DestinationLabel(Label {
                    key: key.to_owned(),
                    value,
                })
            }));
        }
        if let Some(route) = &self.route {
            all.push(r#match::Match::RouteLabel(Label {
                key: "route".to_owned(),
                value: route.clone(),
            }));
        }
        let mut http = |matching| {
            all.push(r#match::Match::Http(Http {
                r#match: Some(matching),
            }))
        };
        if let Some(scheme) = &self.scheme {
            http(wire::Match::Scheme(scheme.to_lowercase().as_str().into()));
        }
        if let Some(method) = &self.method {
            let parsed = Method::from_bytes(method.to_uppercase().as_bytes());
            let parsed = parsed.map_err(|_| InvalidMethod(method.clone()))?;
            http(wire::Match::Method(parsed.into()));
        }
        if let Some(authority) = &self.authority {
            http(wire::Match::Authority(string(string_match::Match::Exact(
                authority.clone(),
            ))));
        }
        if let Some(prefix) = &self.path_prefix {
            http(wire::Match::Path(string(string_match::Match::Prefix(
                prefix.clone(),
            ))));
        }
        let all = all.into_iter().map(|one| Match { r#match: Some(one) });
        Ok(Matching(all.collect()))
    }

    /// The request to one of `pods` sidecars, for one second of events.
    pub(super) fn request(&self, matching: &Matching, pods: usize) -> ObserveRequest {
        let max_rps = if self.max_rps > 0.0 {
            self.max_rps
        } else {
            MAX_RPS
        };
        let headers = extract::Http {
            extract: Some(extract::http::Extract::Headers(extract::http::Headers {})),
        };
        ObserveRequest {
            limit: ((max_rps / pods.max(1) as f32) as u32).max(1),
            r#match: Some(Match {
                r#match: Some(r#match::Match::All(Seq {
                    matches: matching.0.clone(),
                })),
            }),
            extract: self.headers.then_some(Extract {
                extract: Some(extract::Extract::Http(headers)),
            }),
        }
    }
}

fn string(matching: string_match::Match) -> StringMatch {
    StringMatch {
        r#match: Some(matching),
    }
}

/// The labels that discovery gives to the endpoints of `to`.
fn destination_labels(to: &Peer) -> impl Iterator<Item = (&'static str, String)> {
    let label = match to.resource.kind {
        Kind::Authority => None,
        Kind::Namespace => None,
        kind => to.resource.name.clone().map(|name| (kind.name(), name)),
    };
    let namespace = match (to.resource.kind, &to.resource.name) {
        (Kind::Namespace, Some(name)) => name.clone(),
        _ => to.namespace.clone(),
    };
    label.into_iter().chain([("namespace", namespace)])
}

/// A method that no request can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidMethod(String);

impl fmt::Display for InvalidMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an HTTP method", self.0)
    }
}

impl std::error::Error for InvalidMethod {}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> TapQuery {
        TapQuery {
            target: Target {
                resource: "deploy/webapp".parse().unwrap(),
                namespace: "booksapp".to_owned(),
            },
            to: None,
            scheme: None,
            method: None,
            authority: None,
            path_prefix: None,
            route: None,
            filter: Filter::new(),
            headers: false,
            max_rps: 0.0,
        }
    }

    #[test]
    fn the_rate_is_shared_by_the_pods() {
        let limit = |max_rps, pods| {
            let query = TapQuery { max_rps, ..query() };
            query.request(&query.matching().unwrap(), pods).limit
        };
        assert_eq!(limit(0.0, 1), 100);
        assert_eq!(limit(10.0, 3), 3);
        assert_eq!(limit(1.0, 3), 1);
        assert_eq!(limit(10.0, 0), 10);
    }

    #[test]
    fn every_condition_must_hold() {
        let all = TapQuery {
            to: Some(Peer {
                resource: "svc/books".parse().unwrap(),
                namespace: "booksapp".to_owned(),
            }),
            scheme: Some("HTTP".to_owned()),
            method: Some("get".to_owned()),
            authority: Some("books:7002".to_owned()),
            path_prefix: Some("/books".to_owned()),
            route: Some("GET /books".to_owned()),
            ..query()
        };
        let matching = all.matching().unwrap();
        assert_eq!(matching.0.len(), 7);
        assert_eq!(
            matching.0[0].r#match,
            Some(r#match::Match::DestinationLabel(Label {
                key: "service".to_owned(),
                value: "books".to_owned(),
            }))
        );
        assert_eq!(
            matching.0[2].r#match,
            Some(r#match::Match::RouteLabel(Label {
                key: "route".to_owned(),
                value: "GET /books".to_owned(),
            }))
        );
        assert_eq!(
            matching.0[4].r#match,
            Some(r#match::Match::Http(Http {
                r#match: Some(wire::Match::Method(Method::GET.into())),
            }))
        );
        let bad = TapQuery {
            method: Some("G T".to_owned()),
            ..query()
        };
        assert_eq!(
            bad.matching().unwrap_err().to_string(),
            "\"G T\" is not an HTTP method"
        );
    }
}
