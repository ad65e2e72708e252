use super::diagnostic::{Diagnostics, Place};
use crate::{RouteSpec, duration};

/// The routes of a profile, one for each method and path regex.
#[derive(Debug, Default)]
pub(super) struct Routes(Vec<(RouteSpec, Place)>);

impl Routes {
    /// Adds a route, in the order of the profile.
    pub(super) fn add(&mut self, route: RouteSpec, place: Place) {
        self.0.push((route, place));
    }

    /// Merges the routes that match the same requests, each into the first of them.
    pub(super) fn into_specs(self, diagnostics: &Diagnostics<'_>) -> Vec<RouteSpec> {
        let firsts = self.firsts();
        let mut specs: Vec<RouteSpec> = Vec::with_capacity(self.0.len());
        let mut indexes = Vec::with_capacity(self.0.len());
        for (number, (route, place)) in self.0.into_iter().enumerate() {
            let first = firsts[number];
            if first == number {
                indexes.push(specs.len());
                specs.push(route);
            } else {
                let index = indexes[first];
                indexes.push(index);
                diagnostics.warn(place, merge(&mut specs[index], route));
            }
        }
        specs
    }

    /// Returns for each route the number of the first that matches the same requests.
    fn firsts(&self) -> Vec<usize> {
        let condition = |number: &usize| {
            let condition = &self.0[*number].0.condition;
            (&condition.path_regex, &condition.method)
        };
        // Sorting keeps the order of equals, and the routes are almost in this order.
        let mut sorted: Vec<usize> = (0..self.0.len()).collect();
        sorted.sort_by(|a, b| condition(a).cmp(&condition(b)));
        let mut firsts = vec![0; sorted.len()];
        for equals in sorted.chunk_by(|a, b| condition(a) == condition(b)) {
            for number in equals {
                firsts[*number] = equals[0];
            }
        }
        firsts
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
