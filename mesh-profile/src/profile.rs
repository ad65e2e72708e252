use crate::{
    explain::Explanation,
    invalid::{Flaw, InvalidProfile},
    lint::Finding,
    matcher::Matcher,
    pattern::PatternCompiler,
    request::RequestMatch,
    response::ResponseClasses,
    spec::{ProfileSpec, WeightedDst},
    typed::{self, TypedProfile, TypedRoute},
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

/// The read-only part, which threads may share without cost.
struct Compiled {
    declared: TypedProfile,
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

    /// Explains the route of a request, by the same lookup with its reasons.
    pub fn explain(&self, method: &Method, path: &str) -> Explanation {
        Explanation::new(self, method, path)
    }

    /// Returns probable mistakes, such as routes that no request reaches.
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
        self.0.compiled.declared.budget.unwrap_or_default()
    }

    /// The leaves of the split that the profile declares; none for no split.
    pub fn dst_overrides(&self) -> &[WeightedDst] {
        &self.0.compiled.declared.dst_overrides
    }

    /// Returns the typed declaration that the profile was compiled from.
    pub fn declared(&self) -> &TypedProfile {
        &self.0.compiled.declared
    }

    /// An equal profile with routes of its own.
    ///
    /// Cloning a [`Route`] counts a reference. Two threads that do so for every request slow each
    /// other down ten times over, so give each its own; what is compiled stays shared.
    #[must_use]
    pub fn for_worker(&self) -> Self {
        let compiled = self.0.compiled.clone();
        let routes = compiled.declared.routes.iter();
        let routes = routes
            .map(|declared| route(declared).expect("the same declaration compiled before"))
            .collect();
        Self(Arc::new(Inner {
            routes,
            default_route: Route::new(Route::DEFAULT_NAME),
            compiled,
        }))
    }

    /// Compiles the parts that can be compiled: a route with a flaw is left out as a whole, an
    /// override without an authority too, and the default budget replaces an invalid one.
    ///
    /// For a data plane, whose controller may accept profiles that this crate would refuse. Leaving
    /// out only the broken part of a condition, as Linkerd does, would make the route match more.
    pub fn compile_lenient(spec: ProfileSpec) -> (Self, Vec<InvalidProfile>) {
        let mut flaws = Vec::new();
        let budget = spec.retry_budget.as_ref().map(typed::budget).transpose();
        let budget = budget.unwrap_or_else(|flaw| {
            flaws.push(InvalidProfile::new(None, flaw));
            None
        });
        let mut dst_overrides = Vec::with_capacity(spec.dst_overrides.len());
        for (index, dst) in spec.dst_overrides.into_iter().enumerate() {
            match typed::check_override(index, &dst) {
                Ok(()) => dst_overrides.push(dst),
                Err(flaw) => flaws.push(InvalidProfile::new(None, flaw)),
            }
        }
        let routes = spec.routes.iter();
        let routes = routes.map(|route| (&*route.name, TypedRoute::parse(route)));
        let (declared, parts) = compile_sound(routes, &mut flaws);
        let declared = TypedProfile {
            routes: declared,
            budget,
            dst_overrides,
            opaque_ports: spec.opaque_ports,
        };
        (Self::assemble(declared, parts), flaws)
    }

    /// As [`compile_lenient`](Self::compile_lenient), of values that are typed already.
    pub fn compile_typed(mut declared: TypedProfile) -> (Self, Vec<InvalidProfile>) {
        let mut flaws = Vec::new();
        let names: Vec<_> = declared.routes.iter().map(|it| it.name().clone()).collect();
        let routes = names.iter().map(|name| &**name);
        let routes = routes.zip(std::mem::take(&mut declared.routes).into_iter().map(Ok));
        let (routes, parts) = compile_sound(routes, &mut flaws);
        declared.routes = routes;
        (Self::assemble(declared, parts), flaws)
    }

    fn assemble(declared: TypedProfile, parts: Vec<(Route, RequestMatch)>) -> Self {
        let (routes, conditions): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let matcher = Matcher::new(&conditions);
        Self(Arc::new(Inner {
            routes,
            default_route: Route::new(Route::DEFAULT_NAME),
            compiled: Arc::new(Compiled {
                declared,
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
        Self::try_from(TypedProfile::try_from(spec)?)
    }
}

impl TryFrom<TypedProfile> for Profile {
    type Error = InvalidProfile;

    fn try_from(declared: TypedProfile) -> Result<Self, InvalidProfile> {
        let mut patterns = PatternCompiler::new();
        let parts = declared
            .routes
            .iter()
            .enumerate()
            .map(|(index, route)| {
                compile_route(route, &mut patterns)
                    .map_err(|flaw| InvalidProfile::new(Some((index, route.name())), flaw))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self::assemble(declared, parts))
    }
}

/// Compiles the routes without a flaw, and adds a flaw for each of the others.
fn compile_sound<'a>(
    routes: impl Iterator<Item = (&'a str, Result<TypedRoute, Flaw>)>,
    flaws: &mut Vec<InvalidProfile>,
) -> (Vec<TypedRoute>, Vec<(Route, RequestMatch)>) {
    let mut patterns = PatternCompiler::new();
    let (mut declared, mut parts) = (Vec::new(), Vec::new());
    for (index, (name, route)) in routes.enumerate() {
        let compiled = route.and_then(|route| {
            let part = compile_route(&route, &mut patterns)?;
            Ok((route, part))
        });
        match compiled {
            Ok((route, part)) => {
                declared.push(route);
                parts.push(part);
            }
            Err(flaw) => flaws.push(InvalidProfile::new(Some((index, name)), flaw)),
        }
    }
    (declared, parts)
}

fn compile_route(
    declared: &TypedRoute,
    patterns: &mut PatternCompiler,
) -> Result<(Route, RequestMatch), Flaw> {
    if declared.name().is_empty() {
        return Err(Flaw::new("a route must have a name").within("name"));
    }
    let condition = RequestMatch::compile(declared.condition(), patterns)
        .map_err(|flaw| flaw.within("condition"))?;
    Ok((route(declared)?, condition))
}

fn route(declared: &TypedRoute) -> Result<Route, Flaw> {
    let mut route = Route::new(declared.name().clone());
    if !declared.response_classes().is_empty() {
        route = route.with_classify(ResponseClasses::compile(declared.response_classes())?);
    }
    // Zero is no limit, as in Gateway API; taken literally it would fail every request.
    if let Some(timeout) = declared.timeout().filter(|timeout| !timeout.is_zero()) {
        route = route.with_timeout(timeout);
    }
    if declared.is_retryable() {
        route = route.with_retries();
    }
    Ok(route)
}

impl Default for Profile {
    fn default() -> Self {
        Self::assemble(TypedProfile::default(), Vec::new())
    }
}

impl From<Profile> for ProfileSpec {
    fn from(profile: Profile) -> Self {
        Self::from(profile.declared())
    }
}

impl PartialEq for Profile {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.declared() == other.declared()
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
            ],"retryBudget":{"retryRatio":9999,"minRetriesPerSecond":1,"ttl":"10s"},
            "dstOverrides":[{"authority":"a:80","weight":1},{"authority":"","weight":1}]}"#,
        )
        .unwrap();
        let (profile, flaws) = Profile::compile_lenient(spec);
        let [leaf] = profile.dst_overrides() else {
            panic!("one override names an authority");
        };
        assert_eq!(leaf.authority, "a:80");
        assert_eq!(profile.route_for(&Method::GET, "/x").name(), "good");
        assert_eq!(profile.budget(), RetryBudget::default());
        assert_eq!(flaws.len(), 3);
        assert!(flaws[1].to_string().contains("must name an authority"));
        assert_eq!(flaws[2].route(), Some("bad"));
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
