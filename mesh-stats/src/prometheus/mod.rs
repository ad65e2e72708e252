//! Snapshots as Prometheus text: the families that Linkerd's dashboards and queries know.
//!
//! ```
//! use mesh_stats::{Stats, prometheus::{Exposition, Labels}};
//!
//! let stats = Stats::new();
//! let labels = Labels::new().with("direction", "outbound").with("dst", "books.shop.svc:7002");
//!
//! let mut exposition = Exposition::new();
//! exposition.routes(&stats.snapshot(), &labels);
//! exposition.gauge("process_start_time_seconds", "When it began.", &Labels::new(), 1.7e9);
//! print!("{exposition}");
//! ```

use super::{Histogram, Outcome, Snapshot, Status, View};
use mesh_core::Route;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt::{self, Write},
};

/// Metric families to be written in the classic text format.
///
/// Each family is written once, with one `HELP` and one `TYPE`, however many snapshots
/// contribute to it. Series of the same name and labels add up, as those of a program's workers
/// should. Families come in the order of their names and series in that of their labels.
#[derive(Clone, Debug, Default)]
pub struct Exposition {
    families: BTreeMap<Cow<'static, str>, Family>,
}

#[derive(Clone, Debug)]
struct Family {
    help: Cow<'static, str>,
    series: AllSeries,
}

/// The series of a family by their rendered labels.
#[derive(Clone, Debug)]
enum AllSeries {
    Counter(BTreeMap<String, u64>),
    Gauge(BTreeMap<String, f64>),
    Histogram(BTreeMap<String, Histogram>),
}

impl Exposition {
    /// The content type of the text.
    pub const CONTENT_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the routes: `route_*` for what callers see, `route_actual_*` for attempts, and
    /// `route_retryable_total`.
    ///
    /// Each series gets the label `rt_route`, except that of requests which match no route.
    pub fn routes(&mut self, snapshot: &Snapshot, labels: &Labels) {
        for (name, route) in snapshot.routes() {
            let labels = match name {
                Route::DEFAULT_NAME => labels.clone(),
                name => labels.clone().with("rt_route", name),
            };
            self.view("route_", &route.effective, &labels);
            self.view("route_actual_", &route.actual, &labels);

            let retryable = "route_retryable_total";
            let help = "Failures of requests that may be retried.";
            if route.retryable.retried > 0 {
                self.counter(retryable, help, &labels, route.retryable.retried);
            }
            for (reason, count) in &route.retryable.skipped {
                let labels = labels.clone().with("skipped", reason);
                self.counter(retryable, help, &labels, *count);
            }
        }
    }

    /// Adds what one endpoint got: `request_total`, `response_total`, `response_latency_ms`.
    pub fn endpoint(&mut self, view: &View, labels: &Labels) {
        self.view("", view, labels);
    }

    /// Adds a view under names of your own, such as `control_request_total` for the prefix
    /// `control_`. A view without requests adds nothing.
    pub fn view(&mut self, prefix: &'static str, view: &View, labels: &Labels) {
        if view.requests > 0 {
            let name = format!("{prefix}request_total");
            self.counter(name, "Requests dispatched.", labels, view.requests);
        }
        for (outcome, count) in &view.responses {
            let labels = labels.clone().outcome(outcome);
            let name = format!("{prefix}response_total");
            self.counter(name, "Responses that are over.", &labels, *count);
        }
        for (status, latency) in &view.latency {
            let labels = labels.clone().status(*status);
            let name = format!("{prefix}response_latency_ms");
            let help = "Time from dispatch to the first frame of the response body.";
            self.histogram(name, help, &labels, latency);
        }
    }

    /// Adds to a counter.
    pub fn counter(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &Labels,
        value: u64,
    ) {
        let none = AllSeries::Counter(BTreeMap::new());
        if let AllSeries::Counter(all) = self.family(name.into(), help.into(), none) {
            *all.entry(labels.to_string()).or_default() += value;
        }
    }

    /// Adds to a gauge.
    pub fn gauge(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &Labels,
        value: f64,
    ) {
        let none = AllSeries::Gauge(BTreeMap::new());
        if let AllSeries::Gauge(all) = self.family(name.into(), help.into(), none) {
            *all.entry(labels.to_string()).or_default() += value;
        }
    }

    /// Adds to a histogram of milliseconds.
    pub fn histogram(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        help: impl Into<Cow<'static, str>>,
        labels: &Labels,
        value: &Histogram,
    ) {
        let none = AllSeries::Histogram(BTreeMap::new());
        if let AllSeries::Histogram(all) = self.family(name.into(), help.into(), none) {
            *all.entry(labels.to_string()).or_default() += value;
        }
    }

    /// The series of a family, which begins as `none`. A name belongs to the type that it was
    /// first used for; what comes under another is left out.
    fn family(
        &mut self,
        name: Cow<'static, str>,
        help: Cow<'static, str>,
        none: AllSeries,
    ) -> &mut AllSeries {
        let new = || Family { help, series: none };
        &mut self.families.entry(name).or_insert_with(new).series
    }
}

impl fmt::Display for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, family) in &self.families {
            let name = Name(name);
            let help = family.help.replace('\\', r"\\").replace('\n', r"\n");
            let kind = match family.series {
                AllSeries::Counter(_) => "counter",
                AllSeries::Gauge(_) => "gauge",
                AllSeries::Histogram(_) => "histogram",
            };
            writeln!(f, "# HELP {name} {help}\n# TYPE {name} {kind}")?;
            match &family.series {
                AllSeries::Counter(all) => {
                    for (labels, value) in all {
                        writeln!(f, "{name}{} {value}", Braced(labels))?;
                    }
                }
                AllSeries::Gauge(all) => {
                    for (labels, value) in all {
                        writeln!(f, "{name}{} {}", Braced(labels), Float(*value))?;
                    }
                }
                AllSeries::Histogram(all) => {
                    for (labels, value) in all {
                        write_histogram(f, &name, labels, value)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn write_histogram(
    f: &mut fmt::Formatter<'_>,
    name: &Name<'_>,
    labels: &str,
    value: &Histogram,
) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    for (bound, count) in value.cumulative() {
        write!(f, "{name}_bucket{{{labels}{comma}le=\"")?;
        match bound {
            Some(bound) => writeln!(f, "{bound}\"}} {count}")?,
            None => writeln!(f, "+Inf\"}} {count}")?,
        }
    }
    let labels = Braced(labels);
    let sum = Float(value.sum().as_micros() as f64 / 1000.0);
    writeln!(f, "{name}_sum{labels} {sum}")?;
    writeln!(f, "{name}_count{labels} {}", value.count())
}

/// Labels of a series. Any text will do: values are escaped, and what a name may not contain
/// becomes an underscore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(Vec<(Cow<'static, str>, String)>);

impl Labels {
    /// No labels.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a label, or replaces the one of the same name.
    #[must_use]
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl fmt::Display) -> Self {
        let (name, value) = (name.into(), value.to_string());
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some(label) => label.1 = value,
            None => self.0.push((name, value)),
        }
        self
    }

    /// Adds labels whose names begin with `prefix`, such as `dst_` for those of an endpoint.
    #[must_use]
    pub fn with_prefixed<K: fmt::Display, V: fmt::Display>(
        self,
        prefix: &str,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        labels.into_iter().fold(self, |all, (name, value)| {
            all.with(format!("{prefix}{name}"), value)
        })
    }

    fn status(self, status: Status) -> Self {
        match status {
            Status::None => self,
            status => self.with("status_code", status),
        }
    }

    fn outcome(self, outcome: &Outcome) -> Self {
        let grpc_status = outcome.grpc_status.map(|code| code.to_string());
        let error = outcome.fault.map_or("", |fault| fault.as_str());
        self.status(outcome.status)
            .with("classification", outcome.class.as_str())
            .with("grpc_status", grpc_status.unwrap_or_default())
            .with("error", error)
    }
}

impl fmt::Display for Labels {
    /// Writes the labels that stand between the braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (name, value)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}=\"", LabelName(name))?;
            for c in value.chars() {
                match c {
                    '\\' => f.write_str(r"\\")?,
                    '"' => f.write_str(r#"\""#)?,
                    '\n' => f.write_str(r"\n")?,
                    c => f.write_char(c)?,
                }
            }
            f.write_char('"')?;
        }
        Ok(())
    }
}

struct Name<'a>(&'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.0, |c| c == '_' || c == ':')
    }
}

struct LabelName<'a>(&'a str);

impl fmt::Display for LabelName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_name(f, self.0, |c| c == '_')
    }
}

fn write_name(f: &mut fmt::Formatter<'_>, name: &str, sign: fn(char) -> bool) -> fmt::Result {
    for (i, c) in name.chars().enumerate() {
        let good = c.is_ascii_alphabetic() || sign(c) || (i > 0 && c.is_ascii_digit());
        f.write_char(if good { c } else { '_' })?;
    }
    if name.is_empty() {
        f.write_char('_')
    } else {
        Ok(())
    }
}

struct Braced<'a>(&'a str);

impl fmt::Display for Braced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, "{{{}}}", self.0)
    }
}

struct Float(f64);

impl fmt::Display for Float {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value == f64::INFINITY => f.write_str("+Inf"),
            value if value == f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

#[cfg(test)]
mod tests;
