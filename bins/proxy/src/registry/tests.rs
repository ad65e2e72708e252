use super::*;

fn registry() -> Registry {
    let labels = [("pod".to_owned(), "web-0".to_owned())];
    let limits = Limits {
        series: 100,
        ..Limits::default()
    };
    Registry::new(&labels, &limits)
}

fn route(held: &Held) {
    held.stats.retryable(None, None);
}

fn retryable(registry: &Registry, now: Instant) -> Option<String> {
    let text = registry.render(now);
    let line = text
        .lines()
        .find(|line| line.starts_with("route_retryable_total"));
    line.map(str::to_owned)
}

#[test]
fn workers_add_up_and_whoever_comes_back_goes_on_counting() {
    let registry = registry();
    let now = Instant::now();
    for worker in [0, 1, 0] {
        // Dropped each time, as when a destination is forgotten.
        route(&registry.routes(worker, Direction::Outbound, "books:7002"));
    }
    assert_eq!(
        retryable(&registry, now).unwrap(),
        r#"route_retryable_total{pod="web-0",direction="outbound",dst="books:7002"} 3"#
    );
}

#[test]
fn what_nobody_uses_disappears_after_a_while() {
    let registry = registry();
    let now = Instant::now();
    let held = registry.routes(0, Direction::Outbound, "books:7002");
    route(&held);
    let later = |times: u32| now + (registry.retain_idle + Duration::from_secs(1)) * times;
    assert!(retryable(&registry, later(1)).is_some(), "still held");
    drop(held);
    assert!(
        retryable(&registry, later(2)).is_some(),
        "not yet idle for long"
    );
    assert!(retryable(&registry, later(3)).is_none());
}

#[test]
fn names_of_tls_servers_disappear_as_well_and_are_bounded() {
    let registry = registry();
    let now = Instant::now();
    let lines = |now| registry.render(now).matches("\ntls_open_total{").count();
    let open = |name: &str| {
        let meter = registry.tls(Direction::Outbound, name);
        meter.open();
        meter
    };
    let held = open("a.example");
    drop(open("b.example"));
    assert_eq!(lines(now), 2);
    let later = now + registry.retain_idle * 2;
    assert_eq!(lines(later), 1);
    drop(held);
    assert_eq!(lines(later), 1, "not yet idle for long");
    assert_eq!(lines(later + registry.retain_idle), 0);
    for n in 0..registry.max_series + 10 {
        open(&format!("{n}.example"));
    }
    assert_eq!(lines(now), registry.max_series + 1);
}

#[test]
fn past_the_bound_everything_counts_together() {
    let registry = registry();
    for n in 0..registry.max_series + 10 {
        registry.routes(0, Direction::Inbound, &n.to_string());
    }
    let entries = registry.entries.lock().unwrap();
    assert!(entries.series.len() <= registry.max_series + 1);
}

#[test]
fn what_was_counted_before_the_name_was_known_is_shown_once_it_is() {
    let registry = registry();
    let early = Stats::new();
    early.retryable(None, None);
    let held = registry.adopt(0, Direction::Inbound, "books:7002", early);
    route(&held);
    let text = retryable(&registry, Instant::now()).unwrap();
    assert!(text.ends_with(" 2"), "{text}");
    // Who has counters already keeps them.
    let again = registry.adopt(0, Direction::Inbound, "books:7002", Stats::new());
    route(&again);
    let text = retryable(&registry, Instant::now()).unwrap();
    assert!(text.ends_with(" 3"), "{text}");
}
