use super::*;
use crate::count::Counting;
use mesh_core::{Class, Fault};
use proptest::prelude::*;
use std::{collections::HashSet, time::Duration};

/// A sample as a scraper reads it.
type Sample = (String, Vec<(String, String)>, String);

/// Reads the text format back, strictly: every sample belongs to a family declared before it.
fn parse(text: &str) -> Vec<Sample> {
    let mut families = HashSet::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(families.insert(name.to_owned()), "{name} is declared twice");
        }
        if line.starts_with('#') {
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let name = &line[..end];
        let mut rest = &line[end..];
        let mut labels = Vec::new();
        if let Some(inside) = rest.strip_prefix('{') {
            (labels, rest) = parse_labels(inside);
        }
        let family = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .unwrap_or(name);
        assert!(
            families.contains(name) || families.contains(family),
            "{name}"
        );
        samples.push((name.to_owned(), labels, rest.trim_start().to_owned()));
    }
    samples
}

fn parse_labels(mut rest: &str) -> (Vec<(String, String)>, &str) {
    let mut labels = Vec::new();
    loop {
        let (name, after) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap() {
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c => c,
                }),
                (at, '"') => break at,
                (_, c) => value.push(c),
            }
        };
        labels.push((name.to_owned(), value));
        rest = &after[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').unwrap()),
        }
    }
}

fn view() -> View {
    let mut view = View {
        requests: 3,
        ..View::default()
    };
    let ok = Outcome::new(Status::Code(200), Class::Success);
    let timeout = Outcome {
        fault: Some(Fault::Elapsed),
        ..Outcome::new(Status::None, Class::Failure)
    };
    view.responses.insert(ok, 2);
    view.responses.insert(timeout, 1);
    let recorder = crate::histogram::Recorder::default();
    recorder.record(Duration::from_micros(1500), Counting::Owner);
    recorder.record(Duration::from_secs(60), Counting::Owner);
    view.latency.insert(Status::Code(200), recorder.snapshot());
    view
}

fn snapshot() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for name in ["GET /books/{id}", Route::DEFAULT_NAME] {
        let route = snapshot.routes.entry(name.into()).or_default();
        route.effective = view();
        route.actual.requests = 5;
        route.retryable.retried = 2;
        route.retryable.skipped.insert("no_budget", 1);
    }
    snapshot
}

#[test]
fn routes_are_rendered_in_the_families_that_linkerd_has() {
    let labels = Labels::new()
        .with("direction", "outbound")
        .with("dst", "books:7002");
    let mut exposition = Exposition::new();
    exposition.routes(&snapshot(), &labels);
    let text = exposition.to_string();
    parse(&text);
    for line in [
        "# TYPE route_request_total counter",
        "# TYPE route_response_latency_ms histogram",
        r#"route_request_total{direction="outbound",dst="books:7002"} 3"#,
        r#"route_request_total{direction="outbound",dst="books:7002",rt_route="GET /books/{id}"} 3"#,
        r#"route_actual_request_total{direction="outbound",dst="books:7002"} 5"#,
        r#"route_retryable_total{direction="outbound",dst="books:7002"} 2"#,
        r#"route_retryable_total{direction="outbound",dst="books:7002",skipped="no_budget"} 1"#,
        r#"route_response_total{direction="outbound",dst="books:7002",status_code="200",classification="success",grpc_status="",error=""} 2"#,
        r#"route_response_total{direction="outbound",dst="books:7002",classification="failure",grpc_status="",error="timeout"} 1"#,
        r#"route_response_latency_ms_bucket{direction="outbound",dst="books:7002",status_code="200",le="1"} 0"#,
        r#"route_response_latency_ms_bucket{direction="outbound",dst="books:7002",status_code="200",le="2"} 1"#,
        r#"route_response_latency_ms_bucket{direction="outbound",dst="books:7002",status_code="200",le="+Inf"} 2"#,
        r#"route_response_latency_ms_sum{direction="outbound",dst="books:7002",status_code="200"} 60001.5"#,
        r#"route_response_latency_ms_count{direction="outbound",dst="books:7002",status_code="200"} 2"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    // Attempts have no latencies, and no responses were counted for them here.
    assert!(!text.contains("route_actual_response"));
}

#[test]
fn the_same_series_of_two_workers_add_up() {
    let mut exposition = Exposition::new();
    for _ in 0..2 {
        exposition.endpoint(&view(), &Labels::new());
        exposition.gauge("tcp_open_connections", "Open.", &Labels::new(), 1.0);
    }
    let text = exposition.to_string();
    for line in [
        "request_total 6",
        "tcp_open_connections 2",
        r#"response_latency_ms_count{status_code="200"} 4"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert_eq!(text.matches("# HELP request_total").count(), 1);
}

#[test]
fn a_name_keeps_the_type_it_was_first_used_for() {
    let mut exposition = Exposition::new();
    exposition.counter("a_total", "A.", &Labels::new(), 1);
    exposition.gauge("a_total", "A.", &Labels::new(), f64::INFINITY);
    exposition.gauge("b", "Two\nlines.", &Labels::new(), f64::INFINITY);
    assert_eq!(
        exposition.to_string(),
        "# HELP a_total A.\n# TYPE a_total counter\na_total 1\n\
         # HELP b Two\\nlines.\n# TYPE b gauge\nb +Inf\n"
    );
}

proptest! {
    #[test]
    fn any_label_value_is_read_back(
        values in proptest::collection::vec(".*|[\"\\\\\n,{}=a]*", 1..4),
        count: u64,
    ) {
        let mut labels = Labels::new();
        for (i, value) in values.iter().enumerate() {
            labels = labels.with(format!("l{i}"), value.clone());
        }
        let mut exposition = Exposition::new();
        exposition.counter("x_total", "X.", &labels, count);
        let text = exposition.to_string();
        // `\r` is not a line end of the format, though `lines` would take it for one.
        prop_assume!(!text.contains('\r'));
        let expected: Vec<_> = values
            .into_iter()
            .enumerate()
            .map(|(i, value)| (format!("l{i}"), value))
            .collect();
        prop_assert_eq!(parse(&text), vec![("x_total".to_owned(), expected, count.to_string())]);
    }

    #[test]
    fn any_label_name_becomes_a_valid_one(name in ".*") {
        let text = Labels::new().with(name, "").to_string();
        let name = text.strip_suffix("=\"\"").unwrap();
        prop_assert!(!name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()));
        prop_assert!(name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric()));
    }
}
