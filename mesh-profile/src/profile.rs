use crate::{
    duration,
    explain::Explanation,
    invalid::{Flaw, InvalidProfile},
    lint::Finding,
    matcher::Matcher,
    pattern::PatternCompiler,
    request::RequestMatch,
    response::ResponseClasses,
    spec::{ProfileSpec, RetryBudgetSpec, RouteSpec, WeightedDst},
};
use http::Method;
use mesh_core::{RetryBudget, Route};
use std::{fmt, sync::Arc};

/// A service profile, compiled and immutable; a clone is one reference.
///
/// It comes from a [`ProfileSpec`], by `TryFrom` or straight from serde data. The default one has
/// no routes and the default budget.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[cfg_attr(
    feature = "serde",
    serde(try_from = "ProfileSpec", into = "ProfileSpec")
)]
pub struct Profile(Arc<Inner>);

struct Inner {
    routes: Vec<Route>,
    default_route: Route,
    compiled: Arc<Compiled>,
}

/// What is only ever read, and may be shared by threads without cost.
struct Compiled {
    spec: ProfileSpec,
    budget: RetryBudget,
    conditions: Vec<RequestMatch>,
    matcher: Matcher,
}

impl Profile {
    /// The route of a request: the first whose condition holds, or the default route.
    ///
    /// `path` is the raw path, percent-encoded and without query. Nothing is allocated, unless a
    /// route's regex has a Unicode word boundary or a huge repetition.
    pub fn route_for(&self, method: &Method, path: &str) -> &Route {
        match self.position(method, path) {
            Some(position) => &self.0.routes[position],
            None => &self.0.default_route,
        }
    }

    /// The place among [`routes`](Self::routes) of a request's route; `None` is the default one.
    pub fn position(&self, method: &Method, path: &str) -> Option<usize> {
        let compiled = &*self.0.compiled;
        compiled.matcher.lookup(&compiled.conditions, method, path)
    }

    /// Why a request is of the route it is of: the same lookup, with its reasons.
    pub fn explain(&self, method: &Method, path: &str) -> Explanation {
        Explanation::new(self, method, path)
    }

    /// What is allowed but hardly meant: routes that no request reaches, and the like.
    pub fn lint(&self) -> Vec<Finding> {
        crate::lint::check(self)
    }

    /// The declared routes, in order.
    pub fn routes(&self) -> impl ExactSizeIterator<Item = &Route> {
        self.0.routes.iter()
    }

    /// The route `[DEFAULT]` of requests that match no other.
    pub fn default_route(&self) -> &Route {
        &self.0.default_route
    }

    /// The retry budget, shared by all routes.
    pub fn budget(&self) -> RetryBudget {
        self.0.compiled.budget
    }

    /// The leaves of the split that the profile declares; none for no split.
    pub fn dst_overrides(&self) -> &[WeightedDst] {
        &self.0.compiled.spec.dst_overrides
    }

    /// What it was compiled from.
    pub fn spec(&self) -> &ProfileSpec {
        &self.0.compiled.spec
    }

    /// An equal profile with routes of its own.
    ///
    /// Cloning a [`Route`] counts a reference. Two threads that do so for every request slow each
    /// other down ten times over, so give each its own; what is compiled stays shared.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        let compiled = self.0.compiled.clone();
        let routes = compiled.spec.routes.iter();
        let routes = routes
            .map(|spec| route(spec).expect("it was compiled from the same specification before"))
            .collect();
        Self(Arc::new(Inner {
            routes,
            default_route: Route::new(Route::DEFAULT_NAME),
            compiled,
        }))
    }

    /// Compiles what can be compiled: a route with a flaw is left out as a whole, a budget with
    /// one gives way to the default.
    ///
    /// For a data plane, whose controller may accept what we would not. Leaving out a conjunct
    /// instead, as Linkerd does, would widen the route.
    pub fn salvage(mut spec: ProfileSpec) -> (Self, Vec<InvalidProfile>) {
        let mut flaws = Vec::new();
        if let Err(flaw) = budget(spec.retry_budget.as_ref()) {
            flaws.push(InvalidProfile::new(None, flaw));
            spec.retry_budget = None;
        }
        let mut patterns = PatternCompiler::new();
        let mut parts = Vec::new();
        let mut index = 0;
        spec.routes.retain(|spec| {
            let compiled = compile_route(spec, &mut patterns);
            index += 1;
            match compiled {
                Ok(part) => {
                    parts.push(part);
                    true
                }
                Err(flaw) => {
                    flaws.push(InvalidProfile::new(Some((index - 1, &spec.name)), flaw));
                    false
                }
            }
        });
        let budget = budget(spec.retry_budget.as_ref()).unwrap_or_default();
        (Self::assemble(spec, budget, parts), flaws)
    }

    fn assemble(spec: ProfileSpec, budget: RetryBudget, parts: Vec<(Route, RequestMatch)>) -> Self {
        let (routes, conditions): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let matcher = Matcher::new(&conditions);
        Self(Arc::new(Inner {
            routes,
            default_route: Route::new(Route::DEFAULT_NAME),
            compiled: Arc::new(Compiled {
                spec,
                budget,
                conditions,
                matcher,
            }),
        }))
    }

    pub(crate) fn conditions(&self) -> &[RequestMatch] {
        &self.0.compiled.conditions
    }
}

impl TryFrom<ProfileSpec> for Profile {
    type Error = InvalidProfile;

    fn try_from(spec: ProfileSpec) -> Result<Self, InvalidProfile> {
        let budget =
            budget(spec.retry_budget.as_ref()).map_err(|flaw| InvalidProfile::new(None, flaw))?;
        for (i, dst) in spec.dst_overrides.iter().enumerate() {
            if dst.authority.is_empty() {
                let flaw = Flaw::new("an override must name an authority").within("authority");
                let flaw = flaw.within_item(i).within("dstOverrides");
                return Err(InvalidProfile::new(None, flaw));
            }
        }
        let mut patterns = PatternCompiler::new();
        let parts = spec
            .routes
            .iter()
            .enumerate()
            .map(|(index, spec)| {
                compile_route(spec, &mut patterns)
                    .map_err(|flaw| InvalidProfile::new(Some((index, &spec.name)), flaw))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self::assemble(spec, budget, parts))
    }
}

fn compile_route(
    spec: &RouteSpec,
    patterns: &mut PatternCompiler,
) -> Result<(Route, RequestMatch), Flaw> {
    if spec.name.is_empty() {
        return Err(Flaw::new("a route must have a name").within("name"));
    }
    let condition = RequestMatch::compile(&spec.condition, patterns)
        .map_err(|flaw| flaw.within("condition"))?;
    Ok((route(spec)?, condition))
}

fn route(spec: &RouteSpec) -> Result<Route, Flaw> {
    let mut route = Route::new(&*spec.name);
    if !spec.response_classes.is_empty() {
        route = route.with_classify(ResponseClasses::compile(&spec.response_classes)?);
    }
    if let Some(timeout) = &spec.timeout {
        let timeout = duration::parse(timeout)
            .map_err(|error| Flaw::new(error.to_string()).within("timeout"))?;
        // Zero is no limit, as in Gateway API; taken literally it would fail every request.
        if !timeout.is_zero() {
            route = route.with_timeout(timeout);
        }
    }
    if spec.is_retryable {
        route = route.with_retries();
    }
    Ok(route)
}

fn budget(spec: Option<&RetryBudgetSpec>) -> Result<RetryBudget, Flaw> {
    let Some(spec) = spec else {
        return Ok(RetryBudget::default());
    };
    let ttl = duration::parse(&spec.ttl).map_err(|error| {
        Flaw::new(error.to_string())
            .within("ttl")
            .within("retryBudget")
    })?;
    RetryBudget::new(spec.retry_ratio, spec.min_retries_per_second, ttl)
        .map_err(|error| Flaw::new(error.to_string()).within("retryBudget"))
}

impl Default for Profile {
    fn default() -> Self {
        Self::assemble(ProfileSpec::default(), RetryBudget::default(), Vec::new())
    }
}

impl From<Profile> for ProfileSpec {
    fn from(profile: Profile) -> Self {
        profile.spec().clone()
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.spec() == other.spec()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Profile")
            .field("routes", &self.0.routes)
            .field("budget", &self.budget())
            .field("dst_overrides", &self.dst_overrides())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn profile(json: &str) -> Result<Profile, InvalidProfile> {
        Profile::try_from(serde_json::from_str::<ProfileSpec>(json).unwrap())
    }

    #[test]
    fn the_first_route_that_matches_is_the_route() {
        let profile = profile(
            r#"{"routes": [
                {"name": "R1", "condition": {"method": "GET", "pathRegex": "/a/.*"}},
                {"name": "R2", "condition": {"any": [{"method": "POST"}, {"pathRegex": "/b"}]}},
                {"name": "R3", "condition": {"not": {"method": "DELETE"}}}
            ]}"#,
        )
        .unwrap();
        for (method, path, name) in [
            (Method::GET, "/a/1", "R1"),
            (Method::GET, "/b", "R2"),
            (Method::GET, "/b/", "R3"),
            (Method::PUT, "/a/1", "R3"),
            (Method::DELETE, "/zzz", "[DEFAULT]"),
            (Method::from_bytes(b"PURGE").unwrap(), "/zzz", "R3"),
        ] {
            assert_eq!(profile.route_for(&method, path).name(), name);
        }
    }

    #[test]
    fn a_route_carries_what_its_specification_says() {
        let profile = profile(
            r#"{"routes": [{
                "name": "a", "condition": {"pathRegex": "/a"}, "isRetryable": true, "timeout": "300ms"
            }, {"name": "b", "condition": {"pathRegex": "/b"}, "timeout": "0"}],
            "retryBudget": {"retryRatio": 0.5, "minRetriesPerSecond": 3, "ttl": "30s"}}"#,
        )
        .unwrap();
        let [a, b] = profile.routes().collect::<Vec<_>>()[..] else {
            panic!("two routes");
        };
        assert!(a.is_retryable() && !b.is_retryable());
        assert_eq!(a.timeouts().head, Some(Duration::from_millis(300)));
        assert_eq!(b.timeouts().head, None);
        assert_eq!(profile.budget().ttl(), Duration::from_secs(30));
        assert!(a.ptr_eq(profile.route_for(&Method::GET, "/a")));
        assert!(!a.ptr_eq(profile.for_worker().route_for(&Method::GET, "/a")));
    }

    #[test]
    fn an_invalid_profile_names_route_and_field() {
        for (json, message) in [
            (
                r#"{"routes":[{"name":"x","condition":{"method":"GET"}},{"name":"y","condition":{"pathRegex":"/("}}]}"#,
                r#"route "y" (number 2): condition.pathRegex: invalid regular expression "/(": unclosed group"#,
            ),
            (
                r#"{"routes":[{"name":"x","condition":{"method":"GET"},"timeout":"25"}]}"#,
                r#"route "x" (number 1): timeout: invalid duration "25" (write a number and a unit, like 250ms, 1.5s or 1h30m)"#,
            ),
            (
                r#"{"routes":[{"name":"","condition":{"method":"GET"}}]}"#,
                r#"route "" (number 1): name: a route must have a name"#,
            ),
            (
                r#"{"retryBudget":{"retryRatio":-0.2,"minRetriesPerSecond":1,"ttl":"10s"}}"#,
                "retryBudget: retryRatio must be between 0 and 1000, but is -0.2",
            ),
            (
                r#"{"retryBudget":{"retryRatio":0.2,"minRetriesPerSecond":1,"ttl":"foo"}}"#,
                r#"retryBudget.ttl: invalid duration "foo" (write a number and a unit, like 250ms, 1.5s or 1h30m)"#,
            ),
        ] {
            assert_eq!(profile(json).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_data_plane_keeps_the_routes_that_are_sound() {
        let spec = serde_json::from_str(
            r#"{"routes":[
                {"name":"bad","condition":{"all":[{"method":"GET"},{"pathRegex":"/("}]}},
                {"name":"good","condition":{"method":"GET"}}
            ],"retryBudget":{"retryRatio":9999,"minRetriesPerSecond":1,"ttl":"10s"}}"#,
        )
        .unwrap();
        let (profile, flaws) = Profile::salvage(spec);
        assert_eq!(profile.route_for(&Method::GET, "/x").name(), "good");
        assert_eq!(profile.budget(), RetryBudget::default());
        assert_eq!(flaws.len(), 2);
        assert_eq!(flaws[1].route(), Some("bad"));
    }

    #[test]
    fn a_profile_is_read_and_written_as_its_specification() {
        let json = r#"{"routes":[{"name":"a","condition":{"not":{"method":"GET"}}}]}"#;
        let profile: Profile = serde_json::from_str(json).unwrap();
        assert_eq!(
            serde_json::to_string(&profile).unwrap(),
            r#"{"routes":[{"name":"a","condition":{"not":{"method":"GET"}}}]}"#
        );
        assert_eq!(
            serde_json::from_str::<Profile>("{}").unwrap(),
            Profile::default()
        );
        assert!(serde_json::from_str::<Profile>(r#"{"routes": null}"#).is_ok());
        assert!(serde_json::from_str::<Profile>(r#"{"route": []}"#).is_err());
    }
}
