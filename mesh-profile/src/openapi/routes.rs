use super::diagnostic::{Diagnostics, Place};
use crate::{RouteSpec, duration};
use std::collections::{HashMap, hash_map::Entry};

/// The routes of a profile, one for each method and path regex.
#[derive(Debug, Default)]
pub(super) struct Routes {
    specs: Vec<RouteSpec>,
    /// Indexes into `specs` by method and path regex.
    by_match: HashMap<(Option<String>, Option<String>), usize>,
}

impl Routes {
    /// Adds a route, or merges it into the one that matches the same requests.
    pub(super) fn add(&mut self, route: RouteSpec, place: Place, diagnostics: &Diagnostics<'_>) {
        let condition = &route.condition;
        let key = (condition.method.clone(), condition.path_regex.clone());
        match self.by_match.entry(key) {
            Entry::Vacant(entry) => {
                entry.insert(self.specs.len());
                self.specs.push(route);
            }
            Entry::Occupied(entry) => {
                let message = merge(&mut self.specs[*entry.get()], route);
                diagnostics.warn(place, message);
            }
        }
    }

    pub(super) fn into_specs(self) -> Vec<RouteSpec> {
        self.specs
    }
}

/// Makes `first` safe for the requests of `other`, too, and describes the result.
fn merge(first: &mut RouteSpec, other: RouteSpec) -> String {
    let mut message = format!(
        "{} matches the same requests as {}, and shares its route",
        other.name, first.name
    );
    if first.is_retryable != other.is_retryable {
        first.is_retryable = false;
        message.push_str("; it is not retryable, as only one of them is");
    }
    if first.timeout != other.timeout {
        first.timeout = longest(first.timeout.take(), other.timeout);
        message.push_str(&match &first.timeout {
            Some(timeout) => format!("; its timeout is the longer one, {timeout}"),
            None => "; it has no timeout, as only one of them has one".to_owned(),
        });
    }
    if first.response_classes != other.response_classes {
        message.push_str("; responses count as those of the first");
    }
    message
}

/// Returns the longer timeout; without one of them there is no limit.
fn longest(a: Option<String>, b: Option<String>) -> Option<String> {
    let (a, b) = (a?, b?);
    // An invalid timeout was refused before; the document fails in any case.
    let is_longer = duration::parse(&a).ok() >= duration::parse(&b).ok();
    Some(if is_longer { a } else { b })
}
