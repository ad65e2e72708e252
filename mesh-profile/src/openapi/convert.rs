use super::{
    Options,
    diagnostic::{Diagnostics, Place},
    document::{Document, Failures, Key, METHODS, Operation, PathItem, Response, Server},
    path,
};
use crate::{
    ProfileSpec, RequestMatchSpec, ResponseClassSpec, ResponseMatchSpec, RouteSpec,
    StatusRangeSpec, duration,
};
use std::collections::BTreeMap;

/// One route for each path and method, in the order of the paths' bytes.
pub(super) fn convert<'t>(
    document: Document<'t>,
    options: &Options,
    diagnostics: &Diagnostics<'t>,
) -> ProfileSpec {
    check_version(&document, diagnostics);
    let base = Base::of(&document, options, diagnostics);
    let Some(mut paths) = document.paths else {
        diagnostics.warn(
            Some(0),
            "the document has no `paths`, so the profile has no routes",
        );
        return ProfileSpec::default();
    };
    paths.0.sort_by(|(a, _), (b, _)| a.text.cmp(&b.text));

    let mut spec = ProfileSpec::default();
    for (key, item) in &paths.0 {
        if let (None, Some(server)) = (&base.forced, &item.server) {
            of_server(server, diagnostics);
        }
        let operations = item.operations.iter().zip(METHODS);
        for (operation, method) in operations.filter_map(|(o, m)| Some((o.as_ref()?, m))) {
            if let (None, Some(server)) = (&base.forced, &operation.server) {
                of_server(server, diagnostics);
            }
            let path = path::join(&base.before(item, operation), &key.text);
            let place = key.place;
            let converter = Converter {
                method: method.to_ascii_uppercase(),
                path,
                place,
                failures: &document.failures,
                diagnostics,
            };
            spec.routes.push(converter.route(item, operation));
        }
    }
    spec
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
            None => diagnostics.warn(*place, "the version is no text"),
        },
    }
}

/// What stands before every path.
struct Base {
    /// From the command line; wins over all others.
    forced: Option<String>,
    document: String,
}

impl Base {
    fn of(document: &Document<'_>, options: &Options, diagnostics: &Diagnostics<'_>) -> Self {
        let mut base = Self {
            forced: options.base_path.clone(),
            document: String::new(),
        };
        if base.forced.is_some() {
            return base;
        }
        if let Some((place, base_path)) = &document.base_path {
            match base_path.as_text() {
                Some(base_path) => base.document = base_path.to_owned(),
                None => diagnostics.warn(*place, "`basePath` is no text and was left out"),
            }
        } else if let Some(server) = &document.server {
            base.document = of_server(server, diagnostics);
        }
        if !base.document.trim_matches('/').is_empty() {
            let server = document.server.as_ref();
            let (place, who) = match &document.base_path {
                Some((place, _)) => (*place, "`basePath` says"),
                None => (server.and_then(|s| s.place), "the first server's do"),
            };
            diagnostics.note(
                place,
                format!(
                    "paths begin with {}, as {who}; --base-path says otherwise",
                    base.document
                ),
            );
        }
        base
    }

    /// The nearest server wins.
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
                path_regex: Some(path::regex(&self.path)),
                ..RequestMatchSpec::default()
            },
            response_classes: self.response_classes(&name, operation),
            is_retryable: retryable.unwrap_or_default(),
            timeout: timeout.map(|(_, timeout)| timeout.clone().into_owned()),
            name,
        }
    }

    /// Codes in ascending order, then ranges: the first class that matches wins, and a code says
    /// more than its range.
    fn response_classes(&self, name: &str, operation: &Operation<'_>) -> Vec<ResponseClassSpec> {
        let mut codes = BTreeMap::new();
        let mut ranges = BTreeMap::new();
        for (key, response) in &operation.responses {
            let (all, range) = match status(&key.text) {
                Some(range) if range.min == range.max => (&mut codes, range),
                Some(range) => (&mut ranges, range),
                None => {
                    let message = format!(
                        "operation {name}: response {:?} is no status code",
                        key.text
                    );
                    self.diagnostics.warn(key.place.or(self.place), message);
                    continue;
                }
            };
            let is_failure = self
                .failure(key, response, name)
                .unwrap_or(range.min >= 500);
            all.insert(
                range.min,
                ResponseClassSpec {
                    condition: ResponseMatchSpec {
                        status: Some(range),
                        ..ResponseMatchSpec::default()
                    },
                    is_failure,
                },
            );
        }
        codes.into_values().chain(ranges.into_values()).collect()
    }

    /// What the response says of itself, or what it refers to does.
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
                let mut failures = self.failures.0.iter();
                failures.find(|(name, _)| name == local).map(|(_, is)| *is)
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

/// A code, as Go's `Atoi` reads one, or a range like `4XX`.
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
