use super::{
    Options,
    diagnostic::{Diagnostics, Place},
    document::{Document, Failures, Key, Operation, PathItem, Response, Server},
    path,
    routes::Routes,
};
use crate::{
    ProfileSpec, RequestMatchSpec, ResponseClassSpec, ResponseMatchSpec, RouteSpec,
    StatusRangeSpec, duration,
};
use std::collections::BTreeMap;

/// Converts each path and method to a route, in the order of the paths' bytes.
pub(super) fn convert<'t>(
    document: &Document<'t>,
    options: &Options,
    diagnostics: &Diagnostics<'t>,
) -> ProfileSpec {
    check_version(document, diagnostics);
    let base = Base::of(document, options, diagnostics);
    let Some(paths) = &document.paths else {
        diagnostics.warn(
            Some(0),
            "the document has no `paths`, so the profile has no routes",
        );
        return ProfileSpec::default();
    };
    let split = |entry| {
        let (key, _): &'_ (Key<'t>, PathItem<'t>) = entry;
        (path::split_query(&key.text), entry)
    };
    let mut paths: Vec<_> = paths.0.iter().map(split).collect();
    paths.sort_by_key(|((path, _), _)| *path);

    let mut routes = Routes::default();
    for ((path, query), (key, item)) in paths {
        check_path(key, path, query, diagnostics);
        if let (None, Some(server)) = (&base.forced, &item.server) {
            of_server(server, diagnostics);
        }
        for (method, operation) in item.operations() {
            if let (None, Some(server)) = (&base.forced, &operation.server) {
                of_server(server, diagnostics);
            }
            let converter = Converter {
                method,
                path: path::join(&base.before(item, operation), &key.text),
                query: query.len(),
                place: key.place,
                failures: &document.failures,
                diagnostics,
            };
            routes.add(converter.route(item, operation), key.place);
        }
    }
    ProfileSpec {
        routes: routes.into_specs(diagnostics),
        ..ProfileSpec::default()
    }
}

/// Reports the parts of a key that requests do not have in their paths.
fn check_path(key: &Key<'_>, path: &str, query: &str, diagnostics: &Diagnostics<'_>) {
    if !query.is_empty() {
        let message = format!(
            "routes match a path, so {query:?} has no effect in {:?}",
            key.text
        );
        diagnostics.warn(key.place, message);
    }
    if let Some(c) = path::first_encoded(path) {
        let encoded = path::percent_encode(c);
        let message =
            format!("path {path:?} matches no request, as clients send {c:?} as {encoded}");
        diagnostics.warn(key.place, message);
    }
}

fn check_version(document: &Document<'_>, diagnostics: &Diagnostics<'_>) {
    match &document.version {
        None => {}
        Some((place, version)) => match version.as_text() {
            Some(version) if version == "2.0" || version.starts_with("3.") => {}
            Some(version) => diagnostics.warn(
                *place,
                format!("version {version:?} is read as if it were 2.0 or 3.1"),
            ),
            None => diagnostics.warn(*place, "the version is not text"),
        },
    }
}

/// The paths in front of all paths.
struct Base {
    /// From the command line; wins over the document's.
    forced: Option<String>,
    document: String,
}

impl Base {
    fn of(document: &Document<'_>, options: &Options, diagnostics: &Diagnostics<'_>) -> Self {
        let mut base = Self {
            forced: options.base_path.as_deref().map(path::base),
            document: String::new(),
        };
        if base.forced.is_some() {
            return base;
        }
        if let Some((place, base_path)) = &document.base_path {
            match base_path.as_text() {
                Some(text) => {
                    base.document = path::base(text);
                    if base.document != text.trim_end_matches('/') {
                        diagnostics.note(
                            *place,
                            format!(
                                "`basePath` {text:?} is read as {:?}; routes of Linkerd's converter \
                                 would match nothing",
                                base.document
                            ),
                        );
                    }
                }
                None => diagnostics.warn(*place, "`basePath` is not text and was left out"),
            }
        } else if let Some(server) = &document.server {
            base.document = of_server(server, diagnostics);
        }
        if !base.document.is_empty() {
            let server = document.server.as_ref();
            let (place, origin) = match &document.base_path {
                Some((place, _)) => (*place, "from `basePath`"),
                None => (server.and_then(|s| s.place), "from the first server"),
            };
            diagnostics.note(
                place,
                format!(
                    "paths begin with {}, {origin}; --base-path replaces it",
                    base.document
                ),
            );
        }
        base
    }

    /// Returns the path in front of an operation's: of its server, its path's or the document's.
    fn before(&self, item: &PathItem<'_>, operation: &Operation<'_>) -> String {
        let nearest = operation.server.as_ref().or(item.server.as_ref());
        match (&self.forced, nearest.and_then(path::of_server)) {
            (Some(forced), _) => forced.clone(),
            (None, Some(nearest)) => nearest,
            (None, None) => self.document.clone(),
        }
    }
}

fn of_server(server: &Server<'_>, diagnostics: &Diagnostics<'_>) -> String {
    let path = path::of_server(server).unwrap_or_default();
    if path.contains('{') {
        diagnostics.warn(
            server.place,
            format!("a variable in {path:?} has no default, and matches anything"),
        );
    }
    path
}

struct Converter<'r, 't> {
    method: String,
    path: String,
    /// Length of the query at the end of `path`.
    query: usize,
    place: Place,
    failures: &'r Failures<'t>,
    diagnostics: &'r Diagnostics<'t>,
}

impl Converter<'_, '_> {
    fn route(&self, item: &PathItem<'_>, operation: &Operation<'_>) -> RouteSpec {
        let name = format!("{} {}", self.method, self.path);
        let timeout = operation.policy.timeout.as_ref();
        let timeout = timeout.or(item.policy.timeout.as_ref());
        let retryable = operation.policy.retryable.or(item.policy.retryable);
        if let Some((place, timeout)) = timeout
            && let Err(error) = duration::parse(timeout)
        {
            let message = format!("operation {name}: x-linkerd-timeout: {error}");
            self.diagnostics.refuse(place.or(self.place), message);
        }
        RouteSpec {
            condition: RequestMatchSpec {
                method: Some(self.method.clone()),
                path_regex: Some(path::regex(&self.path[..self.path.len() - self.query])),
                ..RequestMatchSpec::default()
            },
            response_classes: self.response_classes(&name, operation),
            is_retryable: retryable.unwrap_or_default(),
            timeout: timeout.map(|(_, timeout)| timeout.clone().into_owned()),
            name,
        }
    }

    /// Returns classes of codes in ascending order, then of ranges, as the first match wins and a
    /// code is more precise than its range.
    fn response_classes(&self, name: &str, operation: &Operation<'_>) -> Vec<ResponseClassSpec> {
        let mut codes = BTreeMap::new();
        let mut ranges = BTreeMap::new();
        for (key, response) in &operation.responses {
            let (all, range) = match status(&key.text) {
                Some(range) if range.min == range.max => (&mut codes, range),
                Some(range) => (&mut ranges, range),
                None => {
                    let message = format!(
                        "operation {name}: response {:?} is not a status code",
                        key.text
                    );
                    self.diagnostics.warn(key.place.or(self.place), message);
                    continue;
                }
            };
            let is_failure = self
                .failure(key, response, name)
                .unwrap_or(range.min >= 500);
            let class = ResponseClassSpec {
                condition: ResponseMatchSpec {
                    status: Some(range),
                    ..ResponseMatchSpec::default()
                },
                is_failure,
            };
            let first: Option<ResponseClassSpec> = all.insert(range.min, class);
            if first.is_some_and(|first| first.is_failure != is_failure) {
                let message = format!(
                    "operation {name}: two responses {:?}, and only one is a failure",
                    key.text
                );
                self.diagnostics.refuse(key.place.or(self.place), message);
            }
        }
        codes.into_values().chain(ranges.into_values()).collect()
    }

    /// Returns the `x-linkerd-failure` of a response, or of the response it refers to.
    fn failure(&self, key: &Key<'_>, response: &Response<'_>, name: &str) -> Option<bool> {
        if response.failure.is_some() {
            return response.failure;
        }
        let (place, reference) = response.reference.as_ref()?;
        let local = ["#/components/responses/", "#/responses/"]
            .iter()
            .find_map(|start| reference.strip_prefix(start));
        match local {
            Some(local) => {
                let mut named = self.failures.0.iter().filter(|(name, _)| name == local);
                let last = named.next_back().and_then(|(_, failure)| *failure);
                if named.any(|(_, failure)| *failure != last) {
                    let message = format!(
                        "operation {name}: two responses {local:?}, and only one is a failure"
                    );
                    self.diagnostics.refuse(place.or(key.place), message);
                }
                last
            }
            None if reference.starts_with('#') => None,
            None => {
                let message = format!(
                    "operation {name}: response {}: `$ref` {reference:?} leads out of the \
                     document and was not followed",
                    key.text
                );
                self.diagnostics.warn(place.or(key.place), message);
                None
            }
        }
    }
}

/// Parses a code, as Go's `Atoi` does, or a range like `4XX`.
pub(super) fn status(key: &str) -> Option<StatusRangeSpec> {
    if let Ok(code) = key.parse::<u32>() {
        return (100..=599).contains(&code).then_some(StatusRangeSpec {
            min: code,
            max: code,
        });
    }
    match key.as_bytes() {
        [class @ b'1'..=b'5', b'X' | b'x', b'X' | b'x'] => {
            let min = u32::from(class - b'0') * 100;
            Some(StatusRangeSpec { min, max: min + 99 })
        }
        _ => None,
    }
}
