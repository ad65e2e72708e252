//! The only road from a resource to a plan: past it, nothing is checked again.

use super::{API_VERSIONS, Analysis, Canary, MetricSpec, StringMatch, WebhookSpec, parse_duration};
use crate::{Affinity, Hook, HookKind, Metric, MetricSource, Plan, Range, Strategy};
use std::{error::Error, fmt, time::Duration};

/// The most metrics, webhooks, steps, alerts and matches of one Canary, each.
const MAX_ENTRIES: usize = 100;

/// A Canary that cannot be obeyed, with the field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidCanary {
    field: String,
    problem: String,
}

impl InvalidCanary {
    /// The path of the field, such as `spec.analysis.stepWeights`.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// The problem, and what the field may be.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for InvalidCanary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

impl Error for InvalidCanary {}

fn invalid<T>(field: impl Into<String>, problem: impl Into<String>) -> Result<T, InvalidCanary> {
    Err(InvalidCanary {
        field: field.into(),
        problem: problem.into(),
    })
}

impl TryFrom<&Canary> for Plan {
    type Error = InvalidCanary;

    fn try_from(canary: &Canary) -> Result<Self, InvalidCanary> {
        if !API_VERSIONS.contains(&canary.api_version.as_str()) {
            let known = API_VERSIONS.join(" or ");
            return invalid("apiVersion", format!("must be {known}"));
        }
        if canary.kind != "Canary" {
            return invalid("kind", "must be Canary");
        }
        let spec = &canary.spec;
        let target = spec.target_ref.as_ref().map(|target| &target.name);
        let Some(target) = target.filter(|name| !name.is_empty()) else {
            return invalid("spec.targetRef.name", "must name the workload to analyse");
        };
        let missing = Analysis::default();
        let analysis = match &spec.analysis {
            Some(analysis) => analysis,
            None if spec.skip_analysis => &missing,
            None => return invalid("spec.analysis", "is missing"),
        };
        let mut plan = analysis.plan(spec.skip_analysis)?;
        plan.name.clone_from(target);
        if let Some(namespace) = &canary.metadata.namespace {
            plan.namespace.clone_from(namespace);
        }
        let deadline = spec.progress_deadline_seconds.unwrap_or(600);
        plan.progress_deadline = Duration::from_secs(deadline.into());
        plan.skip_analysis = spec.skip_analysis;
        plan.suspend = spec.suspend;
        plan.revert_on_deletion = spec.revert_on_deletion;
        Ok(plan)
    }
}

impl Analysis {
    fn plan(&self, skip: bool) -> Result<Plan, InvalidCanary> {
        for (field, entries) in [
            ("stepWeights", self.step_weights.len()),
            ("metrics", self.metrics.len()),
            ("webhooks", self.webhooks.len()),
            ("alerts", self.alerts.len()),
            ("match", self.r#match.len()),
        ] {
            if entries > MAX_ENTRIES {
                let problem = format!("has more than {MAX_ENTRIES} entries");
                return invalid(at(field), problem);
            }
        }
        let interval = duration(&at("interval"), self.interval.as_deref(), 60)?;
        if interval < Duration::from_secs(1) {
            return invalid(at("interval"), "must be at least 1s");
        }
        let strategy = self.strategy(skip)?;
        let largest = self.step_weights.iter().copied().max().unwrap_or_default();
        let affinity = self.session_affinity.as_ref().map(|affinity| {
            if affinity.cookie_name.is_empty() {
                return invalid(at("sessionAffinity.cookieName"), "must not be empty");
            }
            Ok(Affinity {
                cookie: affinity.cookie_name.clone(),
                max_age: Duration::from_secs(affinity.max_age.unwrap_or(86_400).into()),
            })
        });
        let metrics = self.metrics.iter().enumerate();
        let hooks = self.webhooks.iter().enumerate();
        Ok(Plan {
            name: String::new(),
            namespace: "default".to_owned(),
            interval,
            threshold: self.threshold.unwrap_or(1).max(1),
            strategy,
            matches: self.r#match.clone(),
            total: largest.max(100),
            step_promotion: self.step_weight_promotion.unwrap_or_default(),
            mirror: match self.mirror {
                true => Some(percent("mirrorWeight", self.mirror_weight)?),
                false => None,
            },
            affinity: affinity.transpose()?,
            primary_ready: percent("primaryReadyThreshold", self.primary_ready_threshold)?,
            canary_ready: percent("canaryReadyThreshold", self.canary_ready_threshold)?,
            progress_deadline: Duration::ZERO,
            skip_analysis: skip,
            suspend: false,
            revert_on_deletion: false,
            metrics: metrics
                .map(|(n, metric)| metric.convert(&at(&format!("metrics[{n}]"))))
                .collect::<Result<_, _>>()?,
            hooks: hooks
                .map(|(n, hook)| hook.convert(&at(&format!("webhooks[{n}]"))))
                .collect::<Result<_, _>>()?,
            no_traffic: self.no_traffic,
            statistics: self.statistics,
        })
    }

    fn strategy(&self, skip: bool) -> Result<Strategy, InvalidCanary> {
        for (n, rule) in self.r#match.iter().enumerate() {
            for (header, text) in &rule.headers {
                let StringMatch {
                    exact,
                    prefix,
                    suffix,
                    regex,
                } = text;
                let fields = [exact, prefix, suffix, regex];
                if fields.into_iter().flatten().count() != 1 {
                    let field = at(&format!("match[{n}].headers.{header}"));
                    return invalid(field, "must be one of exact, prefix, suffix and regex");
                }
            }
        }
        if let Some(iterations) = self.iterations.filter(|iterations| *iterations > 0) {
            return Ok(match self.r#match.is_empty() {
                true => Strategy::BlueGreen { iterations },
                false => Strategy::Ab { iterations },
            });
        }
        if !self.r#match.is_empty() {
            return invalid(at("iterations"), "must be above 0 where `match` is set");
        }
        if !self.step_weights.is_empty() {
            let is_rising = self.step_weights.is_sorted_by(|a, b| a < b);
            if !is_rising || self.step_weights[0] == 0 {
                return invalid(at("stepWeights"), "must rise, from above 0");
            }
            return Ok(Strategy::Weights(self.step_weights.clone()));
        }
        let max = percent("maxWeight", self.max_weight)?;
        let step = match self.step_weight {
            Some(step) if step > 0 => step,
            None if skip => max,
            _ => {
                let problem = "must be above 0, or `stepWeights` or `iterations` be set";
                return invalid(at("stepWeight"), problem);
            }
        };
        let steps = (1..=max.div_ceil(step)).map(|n| n.saturating_mul(step).min(max));
        Ok(Strategy::Weights(steps.collect()))
    }
}

impl MetricSpec {
    fn convert(&self, at: &str) -> Result<Metric, InvalidCanary> {
        if self.name.is_empty() {
            return invalid(format!("{at}.name"), "must not be empty");
        }
        let source = match (&self.query, &self.template_ref, self.name.as_str()) {
            (Some(query), _, _) => MetricSource::Query(query.clone()),
            (None, Some(template), _) => {
                MetricSource::Template(template.name.clone(), template.namespace.clone())
            }
            (None, None, "request-success-rate") => MetricSource::SuccessRate,
            (None, None, "request-duration") => MetricSource::Duration,
            (None, None, _) => {
                let problem = "is not built in, and has neither `query` nor `templateRef`";
                return invalid(format!("{at}.name"), problem);
            }
        };
        let range = match (self.threshold_range, self.threshold, &source) {
            (Some(range), _, _) => Range {
                min: range.min,
                max: range.max,
            },
            (None, min @ Some(_), MetricSource::SuccessRate) => Range { min, max: None },
            (None, max, _) => Range { min: None, max },
        };
        let ends = [range.min, range.max];
        if ends.iter().all(Option::is_none) || ends.into_iter().flatten().any(f64::is_nan) {
            let problem = "is missing, and so is a range";
            return invalid(format!("{at}.threshold"), problem);
        }
        Ok(Metric {
            name: self.name.clone(),
            source,
            range,
            interval: duration(&format!("{at}.interval"), self.interval.as_deref(), 60)?,
        })
    }
}

impl WebhookSpec {
    fn convert(&self, at: &str) -> Result<Hook, InvalidCanary> {
        const KINDS: [HookKind; 8] = [
            HookKind::ConfirmRollout,
            HookKind::PreRollout,
            HookKind::Rollout,
            HookKind::ConfirmTrafficIncrease,
            HookKind::ConfirmPromotion,
            HookKind::PostRollout,
            HookKind::Rollback,
            HookKind::Event,
        ];
        let kind = match self.r#type.as_str() {
            "" => HookKind::Rollout,
            name => match KINDS.into_iter().find(|kind| kind.as_str() == name) {
                Some(kind) => kind,
                None => {
                    let known = KINDS.map(HookKind::as_str).join(", ");
                    let problem = format!("{name:?} is none of {known}");
                    return invalid(format!("{at}.type"), problem);
                }
            },
        };
        let is_url = ["http://", "https://"].map(|scheme| self.url.starts_with(scheme));
        if !is_url.contains(&true) {
            let problem = "must begin with http:// or https://";
            return invalid(format!("{at}.url"), problem);
        }
        Ok(Hook {
            name: self.name.clone(),
            kind,
            url: self.url.clone(),
            timeout: duration(&format!("{at}.timeout"), self.timeout.as_deref(), 10)?,
            retries: self.retries.unwrap_or_default(),
            metadata: self.metadata.clone().into_iter().collect(),
        })
    }
}

fn at(field: &str) -> String {
    format!("spec.analysis.{field}")
}

/// A percentage above 0; absent is 100.
fn percent(field: &str, percent: Option<u32>) -> Result<u32, InvalidCanary> {
    match percent.unwrap_or(100) {
        percent @ 1..=100 => Ok(percent),
        percent => invalid(at(field), format!("must be from 1 to 100, not {percent}")),
    }
}

/// A duration above zero; absent is so many seconds.
fn duration(field: &str, text: Option<&str>, default: u64) -> Result<Duration, InvalidCanary> {
    let Some(text) = text else {
        return Ok(Duration::from_secs(default));
    };
    match parse_duration(text) {
        Some(duration) if !duration.is_zero() => Ok(duration),
        _ => invalid(field, format!("{text:?} is no duration such as 30s or 1m")),
    }
}
