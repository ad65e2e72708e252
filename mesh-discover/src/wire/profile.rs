use super::matches;
use linkerd2_proxy_api::destination as api;

use mesh_profile::{
    ProfileSpec, ResponseClassSpec, RetryBudget, RetryBudgetSpec, Route, RouteSpec, Weight,
    WeightedDst, duration,
};
use std::time::Duration;

/// The metric label that carries a route's name.
const ROUTE: &str = "route";

/// A profile as the wire has it, for the destination `name` (without port), asked for as
/// `authority`.
///
/// An absent budget is sent as the default one: without a budget Linkerd's proxy retries
/// nothing. A condition with several members becomes an `all` of them. A route that the wire
/// cannot carry, because its condition has no member, is left out.
pub fn profile_to_wire(spec: &ProfileSpec, name: &str, authority: &str) -> api::DestinationProfile {
    api::DestinationProfile {
        fully_qualified_name: name.into(),
        routes: spec.routes.iter().filter_map(route_to_wire).collect(),
        retry_budget: Some(
            spec.retry_budget
                .as_ref()
                .and_then(budget_to_wire)
                .unwrap_or_else(default_budget),
        ),
        dst_overrides: spec
            .dst_overrides
            .iter()
            .map(|dst| api::WeightedDst {
                authority: super::authority(&dst.authority, authority),
                weight: dst.weight.per_ten_thousand(),
                backend_ref: None,
            })
            .collect(),
        ..api::DestinationProfile::default()
    }
}

/// The profile that a message carries.
///
/// The inverse of [`profile_to_wire`], but for the defaults that it wrote out. A route whose
/// condition cannot be read is left out whole, with a warning: dropping a part of the condition,
/// as Linkerd's proxy does, would make the route match more.
pub fn profile_from_wire(profile: &api::DestinationProfile) -> ProfileSpec {
    ProfileSpec {
        routes: profile.routes.iter().filter_map(route_from_wire).collect(),
        retry_budget: profile.retry_budget.as_ref().map(budget_from_wire),
        dst_overrides: profile
            .dst_overrides
            .iter()
            .map(|dst| WeightedDst {
                authority: dst.authority.clone(),
                weight: Weight::from_per_ten_thousand(dst.weight),
            })
            .collect(),
        // The wire says of each destination whether it is opaque, not which ports are.
        ..ProfileSpec::default()
    }
}

fn route_to_wire(route: &RouteSpec) -> Option<api::Route> {
    let timeout = route.timeout.as_deref();
    Some(api::Route {
        condition: Some(matches::request_to_wire(&route.condition)?),
        response_classes: route
            .response_classes
            .iter()
            .filter_map(|class| {
                Some(api::ResponseClass {
                    condition: Some(matches::response_to_wire(&class.condition)?),
                    is_failure: class.is_failure,
                })
            })
            .collect(),
        metrics_labels: [(ROUTE.to_owned(), route.name.clone())].into(),
        is_retryable: route.is_retryable,
        timeout: timeout.and_then(|timeout| duration::parse(timeout).ok()?.try_into().ok()),
    })
}

fn route_from_wire(route: &api::Route) -> Option<RouteSpec> {
    // A route that is not named counts with those that match none.
    let name = route
        .metrics_labels
        .get(ROUTE)
        .map_or(Route::DEFAULT_NAME, String::as_str);
    let condition = route.condition.as_ref();
    let Some(condition) = condition.and_then(matches::request_from_wire) else {
        tracing::warn!(
            route = name,
            "the controller sent a route without a condition"
        );
        return None;
    };
    let timeout = route
        .timeout
        .and_then(|limit| Duration::try_from(limit).ok());
    Some(RouteSpec {
        name: name.into(),
        condition,
        response_classes: route
            .response_classes
            .iter()
            .filter_map(|class| {
                Some(ResponseClassSpec {
                    condition: matches::response_from_wire(class.condition.as_ref()?)?,
                    is_failure: class.is_failure,
                })
            })
            .collect(),
        is_retryable: route.is_retryable,
        timeout: timeout.map(duration::format),
    })
}

fn budget_to_wire(budget: &RetryBudgetSpec) -> Option<api::RetryBudget> {
    Some(api::RetryBudget {
        retry_ratio: budget.retry_ratio as f32,
        min_retries_per_second: budget.min_retries_per_second,
        ttl: Some(duration::parse(&budget.ttl).ok()?.try_into().ok()?),
    })
}

fn default_budget() -> api::RetryBudget {
    let budget = RetryBudget::default();
    api::RetryBudget {
        retry_ratio: budget.ratio() as f32,
        min_retries_per_second: budget.min_per_second(),
        ttl: budget.ttl().try_into().ok(),
    }
}

fn budget_from_wire(budget: &api::RetryBudget) -> RetryBudgetSpec {
    let ttl = budget.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
    RetryBudgetSpec {
        retry_ratio: ratio_from_wire(budget.retry_ratio),
        min_retries_per_second: budget.min_retries_per_second,
        ttl: duration::format(ttl.unwrap_or(RetryBudget::default().ttl())),
    }
}

/// The ratio somebody wrote, which the wire has as a single: 0.2 became 0.200000003.
fn ratio_from_wire(ratio: f32) -> f64 {
    (f64::from(ratio) * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use mesh_profile::{RequestMatchSpec, ResponseMatchSpec, StatusRangeSpec};
    use proptest::prelude::*;

    fn status() -> impl Strategy<Value = ResponseMatchSpec> {
        (100..600u32, 100..600u32).prop_map(|(min, max)| ResponseMatchSpec {
            status: Some(StatusRangeSpec { min, max }),
            ..ResponseMatchSpec::default()
        })
    }

    fn response() -> impl Strategy<Value = ResponseMatchSpec> {
        status().prop_recursive(3, 12, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..3);
            (
                prop::option::of(list.clone()),
                prop::option::of(list),
                prop::option::of(inner.prop_map(Box::new)),
                status(),
            )
                .prop_map(|(all, any, not, last)| ResponseMatchSpec {
                    all,
                    any,
                    not,
                    status: last.status,
                })
        })
    }

    fn request() -> impl Strategy<Value = RequestMatchSpec> {
        let leaf = prop_oneof![
            "GET|PUT|TRACE|PROPFIND".prop_map(RequestMatchSpec::method),
            "/[a-z]{1,4}(/\\[\\^/\\]\\*)?".prop_map(RequestMatchSpec::path_regex),
        ];
        leaf.prop_recursive(3, 12, 3, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..3);
            (
                prop::option::of(list.clone()),
                prop::option::of(list),
                prop::option::of("GET|LIST".prop_map(String::from)),
                prop::option::of(inner.clone().prop_map(Box::new)),
                "/[a-z]{1,4}",
            )
                .prop_map(|(all, any, method, not, path)| RequestMatchSpec {
                    all,
                    any,
                    method,
                    not,
                    path_regex: Some(path),
                })
        })
    }

    prop_compose! {
        fn route()(
            name in "[A-Z]{3} /[a-z]{0,5}",
            condition in request(),
            classes in prop::collection::vec((response(), any::<bool>()), 0..3),
            is_retryable in any::<bool>(),
            timeout in prop::option::of(0..1u64 << 50),
        ) -> RouteSpec {
            RouteSpec {
                name,
                condition,
                response_classes: classes
                    .into_iter()
                    .map(|(condition, is_failure)| ResponseClassSpec { condition, is_failure })
                    .collect(),
                is_retryable,
                timeout: timeout.map(|nanos| duration::format(Duration::from_nanos(nanos))),
            }
        }
    }

    prop_compose! {
        fn spec()(
            routes in prop::collection::vec(route(), 0..4),
            (ratio, min, ttl) in (0..1_000_000u32, any::<u32>(), 1..60_000u64),
            overrides in prop::collection::vec(("[a-z]{1,8}:[1-9][0-9]{0,3}", 0..100_000u64), 0..4),
        ) -> ProfileSpec {
            ProfileSpec {
                routes,
                retry_budget: Some(RetryBudgetSpec {
                    retry_ratio: f64::from(ratio) / 1e6,
                    min_retries_per_second: min,
                    ttl: duration::format(Duration::from_millis(ttl)),
                }),
                dst_overrides: overrides
                    .into_iter()
                    .map(|(authority, milli)| {
                        let weight = Weight::from_milli(milli);
                        WeightedDst { authority, weight }
                    })
                    .collect(),
                ..ProfileSpec::default()
            }
        }
    }

    proptest! {
        #[test]
        fn what_the_wire_says_is_said_again(spec in spec()) {
            let wire = profile_to_wire(&spec, "a.b.svc.cluster.local", "a:80");
            let read = profile_from_wire(&wire);
            prop_assert_eq!(profile_to_wire(&read, "a.b.svc.cluster.local", "a:80"), wire);
        }

        #[test]
        fn all_but_the_shape_of_conditions_survives(spec in spec()) {
            let wire = profile_to_wire(&spec, "a.b.svc.cluster.local", "a:80");
            let mut read = profile_from_wire(&wire);
            // `all: [{method: A}, {pathRegex: B}]` and `{method: A, pathRegex: B}` are one thing
            // on the wire, and read as the latter.
            for (read, route) in read.routes.iter_mut().zip(&spec.routes) {
                read.condition = route.condition.clone();
                for (read, class) in read.response_classes.iter_mut().zip(&route.response_classes) {
                    read.condition = class.condition.clone();
                }
            }
            prop_assert_eq!(read, spec);
        }
    }

    #[test]
    fn a_profile_as_linkerd_prints_it_comes_back_the_same() {
        let spec = ProfileSpec {
            routes: vec![RouteSpec {
                name: "HEAD /authors/{id}.json".into(),
                condition: RequestMatchSpec {
                    method: Some("HEAD".into()),
                    path_regex: Some("/authors/[^/]*\\.json".into()),
                    ..RequestMatchSpec::default()
                },
                is_retryable: true,
                timeout: Some("25ms".into()),
                ..RouteSpec::default()
            }],
            retry_budget: Some(RetryBudgetSpec {
                retry_ratio: 0.2,
                min_retries_per_second: 10,
                ttl: "10s".into(),
            }),
            ..ProfileSpec::default()
        };
        let wire = profile_to_wire(&spec, "authors.shop.svc.cluster.local", "authors:7001");
        assert_eq!(profile_from_wire(&wire), spec);
    }

    #[test]
    fn an_absent_budget_is_sent_as_the_default_one() {
        let wire = profile_to_wire(&ProfileSpec::default(), "", "a:80");
        let budget = profile_from_wire(&wire).retry_budget.unwrap();
        assert_eq!(
            (
                budget.retry_ratio,
                budget.min_retries_per_second,
                budget.ttl.as_str()
            ),
            (0.2, 10, "10s")
        );
    }

    #[test]
    fn a_route_that_cannot_be_read_is_left_out_whole() {
        let broken = api::RequestMatch { r#match: None };
        let all = api::request_match::Match::All(api::request_match::Seq {
            matches: vec![broken],
        });
        let wire = api::DestinationProfile {
            routes: vec![
                api::Route::default(),
                api::Route {
                    condition: Some(api::RequestMatch { r#match: Some(all) }),
                    ..api::Route::default()
                },
            ],
            ..api::DestinationProfile::default()
        };
        assert_eq!(profile_from_wire(&wire).routes, []);
    }
}
