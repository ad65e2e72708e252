use mesh_profile::RequestMatchSpec;
use std::sync::Arc;

/// Sends the requests that meet its condition to backends, by weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    condition: Option<RequestMatchSpec>,
    shares: Vec<Share>,
}

/// The share of one backend in a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    backend: Arc<str>,
    weight: u32,
}

impl RouteRule {
    /// A rule for all requests that sends them to one backend.
    pub fn to(backend: impl Into<Arc<str>>) -> Self {
        let share = Share {
            backend: backend.into(),
            weight: 1,
        };
        Self {
            condition: None,
            shares: vec![share],
        }
    }

    /// A rule for all requests that shares them out among backends, by weight.
    ///
    /// Weights of one backend add up. A split whose weights are all zero gives nobody anything and
    /// is no rule: `None`.
    pub fn split<B: Into<Arc<str>>>(shares: impl IntoIterator<Item = (B, u32)>) -> Option<Self> {
        let mut merged: Vec<Share> = Vec::new();
        for (backend, weight) in shares {
            let backend = backend.into();
            match merged.iter_mut().find(|share| share.backend == backend) {
                Some(share) => share.weight = share.weight.saturating_add(weight),
                None => merged.push(Share { backend, weight }),
            }
        }
        let gives = merged.iter().any(|share| share.weight > 0);
        gives.then_some(Self {
            condition: None,
            shares: merged,
        })
    }

    /// The rule of a service called `name`: the split that a profile or TrafficSplit declares, or
    /// the service itself if that gives nobody anything.
    pub fn of_service<B: Into<Arc<str>>>(
        name: impl Into<Arc<str>>,
        split: impl IntoIterator<Item = (B, u32)>,
    ) -> Self {
        Self::split(split).unwrap_or_else(|| Self::to(name))
    }

    /// Restricts the rule to the requests that meet `condition`.
    #[must_use]
    pub fn with_condition(mut self, condition: RequestMatchSpec) -> Self {
        self.condition = Some(condition);
        self
    }

    /// The condition on requests; `None` for all.
    pub fn condition(&self) -> Option<&RequestMatchSpec> {
        self.condition.as_ref()
    }

    /// The backends and their weights, in the order they were declared.
    pub fn shares(&self) -> &[Share] {
        &self.shares
    }
}

impl Share {
    /// The name of the backend.
    pub fn backend(&self) -> &Arc<str> {
        &self.backend
    }

    /// The weight, relative to the sum of the rule's; zero receives nothing.
    pub fn weight(&self) -> u32 {
        self.weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_that_gives_nobody_anything_is_none() {
        assert_eq!(RouteRule::split([("a", 0), ("b", 0)]), None);
        assert_eq!(RouteRule::split::<&str>([]), None);
        assert_eq!(RouteRule::of_service("a", [("b", 0)]), RouteRule::to("a"));
    }

    #[test]
    fn weights_of_one_backend_add_up() {
        let rule = RouteRule::of_service("a", [("b", 2), ("c", 0), ("b", u32::MAX)]);
        let shares = rule.shares().iter();
        let shares: Vec<_> = shares.map(|it| (&**it.backend(), it.weight())).collect();
        assert_eq!(shares, [("b", u32::MAX), ("c", 0)]);
    }
}
