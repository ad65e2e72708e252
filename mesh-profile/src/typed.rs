use crate::{
    duration,
    invalid::{Flaw, InvalidProfile},
    spec::{
        ProfileSpec, RequestMatchSpec, ResponseClassSpec, RetryBudgetSpec, RouteSpec, WeightedDst,
    },
};
use mesh_core::RetryBudget;
use std::{sync::Arc, time::Duration};

/// A declared profile whose durations and budget are values instead of text.
///
/// It is the form between a [`ProfileSpec`], which people write, and a
/// [`Profile`](crate::Profile), which is compiled: programs exchange this one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedProfile {
    pub(crate) routes: Vec<TypedRoute>,
    pub(crate) budget: Option<RetryBudget>,
    pub(crate) dst_overrides: Vec<WeightedDst>,
    pub(crate) opaque_ports: Vec<String>,
}

impl TypedProfile {
    /// A profile with these routes, tried in order.
    pub fn new(routes: impl IntoIterator<Item = TypedRoute>) -> Self {
        Self {
            routes: routes.into_iter().collect(),
            ..Self::default()
        }
    }

    /// Declares the retry budget.
    #[must_use]
    pub fn with_budget(mut self, budget: RetryBudget) -> Self {
        self.budget = Some(budget);
        self
    }

    /// Declares a weighted split of the service's requests.
    #[must_use]
    pub fn with_dst_overrides(mut self, leaves: impl IntoIterator<Item = WeightedDst>) -> Self {
        self.dst_overrides = leaves.into_iter().collect();
        self
    }

    /// The routes, in order.
    pub fn routes(&self) -> &[TypedRoute] {
        &self.routes
    }

    /// The declared budget; `None` means the default one.
    pub fn budget(&self) -> Option<RetryBudget> {
        self.budget
    }

    /// The leaves of the declared split; none for no split.
    pub fn dst_overrides(&self) -> &[WeightedDst] {
        &self.dst_overrides
    }
}

/// A declared route whose timeout is a [`Duration`] and whose condition is ready to be compiled.
#[derive(Clone, Debug, PartialEq)]
pub struct TypedRoute {
    name: Arc<str>,
    condition: RequestMatchSpec,
    response_classes: Vec<ResponseClassSpec>,
    timeout: Option<Duration>,
    is_retryable: bool,
}

impl TypedRoute {
    /// A route for the requests that meet `condition`: not retried, without a timeout.
    pub fn new(name: impl Into<Arc<str>>, condition: RequestMatchSpec) -> Self {
        Self {
            name: name.into(),
            condition,
            response_classes: Vec::new(),
            timeout: None,
            is_retryable: false,
        }
    }

    /// Classifies responses; the first class whose condition holds decides.
    #[must_use]
    pub fn with_response_classes(
        mut self,
        classes: impl IntoIterator<Item = ResponseClassSpec>,
    ) -> Self {
        self.response_classes = classes.into_iter().collect();
        self
    }

    /// Limits the time until the response head, retries included; zero is no limit.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Declares requests of this route safe to send twice, or not.
    #[must_use]
    pub fn with_retryable(mut self, is_retryable: bool) -> Self {
        self.is_retryable = is_retryable;
        self
    }

    /// The name in metrics, tap and tables.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The condition on requests.
    pub fn condition(&self) -> &RequestMatchSpec {
        &self.condition
    }

    /// The response classes, in order.
    pub fn response_classes(&self) -> &[ResponseClassSpec] {
        &self.response_classes
    }

    /// The limit until the response head, retries included.
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns true if requests of this route may be sent twice.
    pub fn is_retryable(&self) -> bool {
        self.is_retryable
    }

    pub(crate) fn parse(spec: &RouteSpec) -> Result<Self, Flaw> {
        let timeout = spec.timeout.as_deref().map(duration::parse).transpose();
        Ok(Self {
            name: (*spec.name).into(),
            condition: spec.condition.clone(),
            response_classes: spec.response_classes.clone(),
            timeout: timeout.map_err(|error| Flaw::new(error.to_string()).within("timeout"))?,
            is_retryable: spec.is_retryable,
        })
    }
}

pub(crate) fn budget(spec: &RetryBudgetSpec) -> Result<RetryBudget, Flaw> {
    let ttl = duration::parse(&spec.ttl)
        .map_err(|error| Flaw::new(error.to_string()).within("ttl"))
        .map_err(|flaw| flaw.within("retryBudget"))?;
    RetryBudget::new(spec.retry_ratio, spec.min_retries_per_second, ttl)
        .map_err(|error| Flaw::new(error.to_string()).within("retryBudget"))
}

/// Returns a flaw if the override at `index` names no authority.
pub(crate) fn check_override(index: usize, dst: &WeightedDst) -> Result<(), Flaw> {
    if !dst.authority.is_empty() {
        return Ok(());
    }
    let flaw = Flaw::new("an override must name an authority").within("authority");
    Err(flaw.within_item(index).within("dstOverrides"))
}

impl TryFrom<ProfileSpec> for TypedProfile {
    type Error = InvalidProfile;

    fn try_from(spec: ProfileSpec) -> Result<Self, InvalidProfile> {
        let budget = spec.retry_budget.as_ref().map(budget).transpose();
        let budget = budget.map_err(|flaw| InvalidProfile::new(None, flaw))?;
        for (i, dst) in spec.dst_overrides.iter().enumerate() {
            check_override(i, dst).map_err(|flaw| InvalidProfile::new(None, flaw))?;
        }
        let routes = spec.routes.iter().enumerate().map(|(index, route)| {
            TypedRoute::parse(route)
                .map_err(|flaw| InvalidProfile::new(Some((index, &route.name)), flaw))
        });
        Ok(Self {
            routes: routes.collect::<Result<_, _>>()?,
            budget,
            dst_overrides: spec.dst_overrides,
            opaque_ports: spec.opaque_ports,
        })
    }
}

impl From<&TypedProfile> for ProfileSpec {
    fn from(typed: &TypedProfile) -> Self {
        Self {
            routes: typed.routes.iter().map(RouteSpec::from).collect(),
            retry_budget: typed.budget.map(|budget| RetryBudgetSpec {
                retry_ratio: budget.ratio(),
                min_retries_per_second: budget.min_per_second(),
                ttl: duration::format(budget.ttl()),
            }),
            dst_overrides: typed.dst_overrides.clone(),
            opaque_ports: typed.opaque_ports.clone(),
        }
    }
}

impl From<&TypedRoute> for RouteSpec {
    fn from(route: &TypedRoute) -> Self {
        Self {
            name: (*route.name).to_owned(),
            condition: route.condition.clone(),
            response_classes: route.response_classes.clone(),
            is_retryable: route.is_retryable,
            timeout: route.timeout.map(duration::format),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_specification_is_typed_and_written_again() {
        let spec = ProfileSpec {
            routes: vec![RouteSpec {
                name: "GET /".into(),
                condition: RequestMatchSpec::method("GET"),
                is_retryable: true,
                timeout: Some("0.3s".into()),
                ..RouteSpec::default()
            }],
            retry_budget: Some(RetryBudgetSpec {
                retry_ratio: 0.5,
                min_retries_per_second: 1,
                ttl: "1m".into(),
            }),
            ..ProfileSpec::default()
        };
        let typed = TypedProfile::try_from(spec.clone()).unwrap();
        assert_eq!(
            typed.routes()[0].timeout(),
            Some(Duration::from_millis(300))
        );
        assert_eq!(typed.budget().unwrap().ttl(), Duration::from_secs(60));

        let mut written = spec;
        written.routes[0].timeout = Some("300ms".into());
        written.retry_budget.as_mut().unwrap().ttl = "1m0s".into();
        assert_eq!(ProfileSpec::from(&typed), written);
    }
}
