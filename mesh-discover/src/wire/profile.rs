use super::{matches, weights};
use linkerd2_proxy_api::destination as api;
use mesh_profile::{
    ResponseClassSpec, RetryBudget, Route, TypedProfile, TypedRoute, Weight, WeightedDst,
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
pub fn profile_to_wire(
    profile: &TypedProfile,
    name: &str,
    authority: &str,
) -> api::DestinationProfile {
    api::DestinationProfile {
        fully_qualified_name: name.into(),
        routes: profile.routes().iter().filter_map(route_to_wire).collect(),
        retry_budget: Some(budget_to_wire(profile.budget().unwrap_or_default())),
        dst_overrides: overrides_to_wire(profile.dst_overrides(), name, authority),
        ..api::DestinationProfile::default()
    }
}

/// The leaves of the destination `name` (without port), asked for as `authority`, as the wire has
/// them.
///
/// Weights are scaled together, so that they add up to between 1 and 2^31-1. Without a weight
/// above zero, a destination that has a name gets one override, to itself: Linkerd's proxy carries
/// a service by its profile only if that has routes or overrides.
pub fn overrides_to_wire(
    overrides: &[WeightedDst],
    name: &str,
    authority: &str,
) -> Vec<api::WeightedDst> {
    let declared: Vec<u64> = overrides.iter().map(|dst| dst.weight.milli()).collect();
    let leaf = |authority: String, weight| api::WeightedDst {
        authority,
        weight,
        backend_ref: None,
    };
    match weights::to_wire(&declared) {
        Some(weights) => {
            let names = overrides.iter().map(|dst| &*dst.authority);
            let leaves = names.zip(weights);
            leaves
                .map(|(name, weight)| leaf(super::authority(name, authority), weight))
                .collect()
        }
        None if name.is_empty() => Vec::new(),
        None => vec![leaf(super::authority(name, authority), weights::WHOLE)],
    }
}

/// The profile that a message carries.
///
/// The inverse of [`profile_to_wire`], but for the defaults that it wrote out. A route whose
/// condition cannot be read is left out whole, with a warning: dropping a part of the condition,
/// as Linkerd's proxy does, would make the route match more. A budget with a value out of range
/// is none, with a warning.
pub fn profile_from_wire(profile: &api::DestinationProfile) -> TypedProfile {
    let routes = profile.routes.iter().filter_map(route_from_wire);
    let overrides = profile.dst_overrides.iter().map(|dst| WeightedDst {
        authority: dst.authority.clone(),
        weight: Weight::from_per_ten_thousand(dst.weight),
    });
    let typed = TypedProfile::new(routes).with_dst_overrides(overrides);
    match profile.retry_budget.as_ref().and_then(budget_from_wire) {
        Some(budget) => typed.with_budget(budget),
        None => typed,
    }
}

fn route_to_wire(route: &TypedRoute) -> Option<api::Route> {
    let classes = route.response_classes().iter();
    Some(api::Route {
        condition: Some(matches::request_to_wire(route.condition())?),
        response_classes: classes
            .filter_map(|class| {
                Some(api::ResponseClass {
                    condition: Some(matches::response_to_wire(&class.condition)?),
                    is_failure: class.is_failure,
                })
            })
            .collect(),
        metrics_labels: [(ROUTE.to_owned(), route.name().to_string())].into(),
        is_retryable: route.is_retryable(),
        timeout: route.timeout().and_then(|timeout| timeout.try_into().ok()),
    })
}

fn route_from_wire(route: &api::Route) -> Option<TypedRoute> {
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
    let classes = route.response_classes.iter().filter_map(|class| {
        Some(ResponseClassSpec {
            condition: matches::response_from_wire(class.condition.as_ref()?)?,
            is_failure: class.is_failure,
        })
    });
    let typed = TypedRoute::new(name, condition)
        .with_response_classes(classes)
        .with_retryable(route.is_retryable);
    let timeout = route.timeout;
    Some(match timeout.and_then(|it| Duration::try_from(it).ok()) {
        Some(timeout) => typed.with_timeout(timeout),
        None => typed,
    })
}

fn budget_to_wire(budget: RetryBudget) -> api::RetryBudget {
    api::RetryBudget {
        retry_ratio: budget.ratio() as f32,
        min_retries_per_second: budget.min_per_second(),
        ttl: budget.ttl().try_into().ok(),
    }
}

fn budget_from_wire(budget: &api::RetryBudget) -> Option<RetryBudget> {
    let ttl = budget.ttl.and_then(|ttl| Duration::try_from(ttl).ok());
    let ttl = ttl.unwrap_or(RetryBudget::default().ttl());
    let ratio = ratio_from_wire(budget.retry_ratio);
    match RetryBudget::new(ratio, budget.min_retries_per_second, ttl) {
        Ok(budget) => Some(budget),
        Err(problem) => {
            tracing::warn!(%problem, "the controller sent a budget that is ignored");
            None
        }
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
        ) -> TypedRoute {
            let classes = classes
                .into_iter()
                .map(|(condition, is_failure)| ResponseClassSpec { condition, is_failure });
            let route = TypedRoute::new(name, condition)
                .with_response_classes(classes)
                .with_retryable(is_retryable);
            match timeout {
                Some(nanos) => route.with_timeout(Duration::from_nanos(nanos)),
                None => route,
            }
        }
    }

    prop_compose! {
        fn profile()(
            routes in prop::collection::vec(route(), 0..4),
            (ratio, min, ttl) in (0..1_000_000u32, 0..1u32 << 31, 1_000..60_000u64),
            overrides in prop::collection::vec(("[a-z]{1,8}:[1-9][0-9]{0,3}", 1..100_000u64), 1..4),
        ) -> TypedProfile {
            let overrides = overrides.into_iter().map(|(authority, milli)| {
                let weight = Weight::from_milli(milli);
                WeightedDst { authority, weight }
            });
            let ttl = Duration::from_millis(ttl);
            let budget = RetryBudget::new(f64::from(ratio) / 1e6, min, ttl).unwrap();
            TypedProfile::new(routes).with_budget(budget).with_dst_overrides(overrides)
        }
    }

    /// The route with the condition of `other`, and with its classes' conditions.
    fn with_conditions_of(other: &TypedRoute, route: &TypedRoute) -> TypedRoute {
        let classes = route
            .response_classes()
            .iter()
            .zip(other.response_classes());
        let classes = classes.map(|(class, other)| ResponseClassSpec {
            condition: other.condition.clone(),
            is_failure: class.is_failure,
        });
        let changed = TypedRoute::new(route.name().clone(), other.condition().clone())
            .with_response_classes(classes)
            .with_retryable(route.is_retryable());
        match route.timeout() {
            Some(timeout) => changed.with_timeout(timeout),
            None => changed,
        }
    }

    proptest! {
        #[test]
        fn what_the_wire_says_is_said_again(profile in profile()) {
            let wire = profile_to_wire(&profile, "a.b.svc.cluster.local", "a:80");
            let read = profile_from_wire(&wire);
            prop_assert_eq!(profile_to_wire(&read, "a.b.svc.cluster.local", "a:80"), wire);
        }

        #[test]
        fn all_but_the_shape_of_conditions_survives(profile in profile()) {
            let wire = profile_to_wire(&profile, "a.b.svc.cluster.local", "a:80");
            let read = profile_from_wire(&wire);
            // `all: [{method: A}, {pathRegex: B}]` and `{method: A, pathRegex: B}` are one thing
            // on the wire, and read as the latter.
            let routes = read.routes().iter().zip(profile.routes());
            let routes = routes.map(|(read, route)| with_conditions_of(route, read));
            let read = TypedProfile::new(routes)
                .with_budget(read.budget().unwrap())
                .with_dst_overrides(read.dst_overrides().to_vec());
            prop_assert_eq!(read, profile);
        }
    }

    #[test]
    fn a_profile_as_linkerd_prints_it_comes_back_the_same() {
        let condition = RequestMatchSpec {
            method: Some("HEAD".into()),
            path_regex: Some("/authors/[^/]*\\.json".into()),
            ..RequestMatchSpec::default()
        };
        let route = TypedRoute::new("HEAD /authors/{id}.json", condition)
            .with_retryable(true)
            .with_timeout(Duration::from_millis(25));
        let profile = TypedProfile::new([route]).with_budget(RetryBudget::default());
        let wire = profile_to_wire(&profile, "authors.shop.svc.cluster.local", "authors:7001");
        let read = profile_from_wire(&wire);
        assert_eq!(read.routes(), profile.routes());
        assert_eq!(read.budget(), profile.budget());
    }

    #[test]
    fn a_service_without_a_split_is_sent_an_override_to_itself() {
        let plain = TypedProfile::default();
        let wire = profile_to_wire(&plain, "a.b.svc.cluster.local", "10.0.0.1:7001");
        let only: Vec<_> = wire
            .dst_overrides
            .iter()
            .map(|dst| &*dst.authority)
            .collect();
        assert_eq!(only, ["a.b.svc.cluster.local:7001"]);
        let nothing = WeightedDst {
            authority: "b:80".into(),
            weight: Weight::from_milli(0),
        };
        let zero = profile_to_wire(&plain.clone().with_dst_overrides([nothing]), "a.b.svc", "a");
        assert_eq!(zero.dst_overrides[0].authority, "a.b.svc:80");
        // A name that is not of the mesh is left to itself.
        assert!(profile_to_wire(&plain, "", "a:80").dst_overrides.is_empty());
    }

    #[test]
    fn an_absent_budget_is_sent_as_the_default_one() {
        let wire = profile_to_wire(&TypedProfile::default(), "", "a:80");
        let budget = profile_from_wire(&wire).budget();
        assert_eq!(budget, Some(RetryBudget::default()));
    }

    #[test]
    fn a_budget_out_of_range_is_none() {
        let mut wire = profile_to_wire(&TypedProfile::default(), "", "a:80");
        wire.retry_budget.as_mut().unwrap().retry_ratio = 9_999.0;
        assert_eq!(profile_from_wire(&wire).budget(), None);
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
        assert_eq!(profile_from_wire(&wire).routes(), []);
    }
}
