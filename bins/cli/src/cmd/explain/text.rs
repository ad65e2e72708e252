use super::{Explanation, Resend, Share};
use crate::cmd::fault;
use mesh_profile::{PassedOver, Route};
use std::{fmt::Write as _, time::Duration};

/// Maximum number of skipped routes that are shown: the last ones. Profiles are usually sorted by
/// path, so those are most similar to the chosen one.
const MAX_PASSED_OVER: usize = 20;

pub(super) fn table(explanation: &Explanation) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name:<13} {value}");
    };
    let target = explanation.authority.as_deref().unwrap_or_default();
    line(
        "REQUEST",
        &format!("{} {target}{}", explanation.method, explanation.path),
    );
    if let Some(from) = &explanation.from {
        line("FROM", from);
    }
    match (&explanation.destination, &explanation.authority) {
        (Some(destination), _) => line("DESTINATION", destination),
        // Offline there is nobody to ask.
        (None, _) if explanation.split.is_empty() && explanation.profile.is_some() => {}
        (None, Some(authority)) => line(
            "DESTINATION",
            &format!("{authority}, which is not in the mesh: found by DNS and passed through"),
        ),
        (None, None) => {}
    }
    if let Some(hint) = &explanation.hint {
        line("  hint", hint);
    }
    line("PROFILE", explanation.profile.as_deref().unwrap_or("-"));
    line("ROUTE", &explanation.route);
    line("  because", &explanation.reason);
    let hidden = explanation
        .passed_over
        .len()
        .saturating_sub(MAX_PASSED_OVER);
    if hidden > 0 {
        let message = format!("{hidden} routes before the following; -o json says why");
        line("  not", &message);
    }
    for PassedOver { route, reason } in &explanation.passed_over[hidden..] {
        line("  not", &format!("{route}: {reason}"));
    }
    let timeout = explanation.timeout_ms.and_then(|it| u64::try_from(it).ok());
    let timeout = timeout.map(|ms| format!("{:?}, retries included", Duration::from_millis(ms)));
    line("TIMEOUT", timeout.as_deref().unwrap_or("-"));
    line("RETRY", &retry(explanation));
    line("RESEND", resend(explanation));
    match explanation.split.as_slice() {
        [one] if Some(&one.authority) == explanation.destination.as_ref() => {
            line("ENDPOINTS", &endpoints(one));
        }
        shares => {
            // A leaf that has no endpoint is skipped, unless none has one.
            let any = shares
                .iter()
                .any(|it| it.weight > 0 && !it.endpoints.is_empty());
            for share in shares {
                let percent = share.share * 100.0;
                let mut endpoints = endpoints(share);
                if any && share.weight > 0 && share.endpoints.is_empty() {
                    endpoints += ", so its share goes to the others";
                }
                let part = format!("{percent:.1}% to {} ({endpoints})", share.authority);
                line("SPLIT", &part);
            }
        }
    }
    if let Some(split) = &explanation.traffic_split {
        line("  because", &format!("the TrafficSplit {split} says so"));
    } else if explanation.split.len() > 1 {
        line("  because", "the profile has `dstOverrides`");
    }
    for problem in &explanation.split_problems {
        line("  not", &format!("TrafficSplit {problem}"));
    }
    for fault in &explanation.faults {
        let from = fault.from.as_ref();
        let from = from.map_or_else(String::new, |from| format!(" from {from}"));
        let text = format!(
            "{} for {}% of these requests{from}: fault {}, which ends in {}",
            fault.kind,
            fault.percent,
            fault.id,
            fault::left(fault, fault::now_ms())
        );
        line("FAULT", &text);
    }
    text
}

fn retry(explanation: &Explanation) -> String {
    let budget = &explanation.retry_budget;
    let budget = format!(
        "{}% of requests and {} a second, over {:?}",
        budget.retry_ratio * 100.0,
        budget.min_retries_per_second,
        Duration::from_millis(u64::try_from(budget.ttl_ms).unwrap_or(u64::MAX)),
    );
    match (
        explanation.retryable,
        explanation.route == Route::DEFAULT_NAME,
    ) {
        (true, _) => format!("failures, within the budget: {budget}"),
        (false, true) => "never: no route says that it may be".to_owned(),
        (false, false) => "never: the route is not `isRetryable`".to_owned(),
    }
}

/// The proof on which the request is sent again, whatever its route says.
fn resend(explanation: &Explanation) -> &'static str {
    match explanation.resend {
        Resend::Unreached => "if no endpoint was reached",
        Resend::Unread => {
            "if no endpoint was reached, or once if it has no body and a used connection closed unread"
        }
    }
}

fn endpoints(share: &Share) -> String {
    match share.endpoints.as_slice() {
        [] if !share.exists => "there is no such service".to_owned(),
        [] => "no endpoint is ready".to_owned(),
        some => some.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::explain, *};
    use http::Method;
    use mesh_profile::Profile;

    fn profile() -> Profile {
        serde_json::from_str(
            r#"{"routes": [
                {"name": "list", "condition": {"method": "GET", "pathRegex": "/books.json"}},
                {"name": "one", "condition": {"method": "GET", "pathRegex": "/books/[^/]*"},
                 "isRetryable": true, "timeout": "25ms"}
            ]}"#,
        )
        .unwrap()
    }

    #[test]
    fn the_answer_says_why_and_why_not() {
        let mut explanation = explain(&Method::GET, "/books/1", &profile());
        explanation.authority = Some("books:7002".into());
        explanation.destination = Some("books.shop.svc.cluster.local:7002".into());
        explanation.profile = Some("shop/books.shop.svc.cluster.local".into());
        explanation.split = vec![Share {
            authority: "books.shop.svc.cluster.local:7002".into(),
            weight: 1,
            share: 1.0,
            endpoints: vec!["127.0.0.1:1".into()],
            exists: true,
        }];
        assert_eq!(
            table(&explanation),
            "REQUEST       GET books:7002/books/1\n\
             DESTINATION   books.shop.svc.cluster.local:7002\n\
             PROFILE       shop/books.shop.svc.cluster.local\n\
             ROUTE         one\n  \
             because     method is GET and path matches /books/[^/]*\n  \
             not         list: path does not match /books.json\n\
             TIMEOUT       25ms, retries included\n\
             RETRY         failures, within the budget: 20% of requests and 10 a second, over 10s\n\
             RESEND        if no endpoint was reached, or once if it has no body and a used \
             connection closed unread\n\
             ENDPOINTS     127.0.0.1:1\n"
        );
        explanation.split = ["a:1", "b:1"]
            .map(|authority| Share {
                authority: authority.into(),
                weight: 1,
                share: 0.5,
                endpoints: Vec::new(),
                exists: authority == "a:1",
            })
            .into();
        let text = table(&explanation);
        let none = "SPLIT         50.0% to a:1 (no endpoint is ready)\n\
                    SPLIT         50.0% to b:1 (there is no such service)\n";
        assert!(text.contains(none), "{text}");
        explanation.split[0].endpoints.push("127.0.0.1:1".into());
        let text = table(&explanation);
        let one = "SPLIT         50.0% to a:1 (127.0.0.1:1)\nSPLIT         50.0% to b:1 \
                   (there is no such service, so its share goes to the others)\n";
        assert!(text.contains(one), "{text}");
        assert!(
            text.ends_with("  because     the profile has `dstOverrides`\n"),
            "{text}"
        );

        explanation.traffic_split = Some("shop/canary".into());
        explanation.split_problems = vec!["late: the older one".into()];
        let text = table(&explanation);
        let because = "  because     the TrafficSplit shop/canary says so\n  \
                       not         TrafficSplit late: the older one\n";
        assert!(text.ends_with(because), "{text}");
    }

    #[test]
    fn a_request_of_no_route_is_not_retried() {
        let explanation = explain(&Method::PUT, "/x", &profile());
        assert_eq!(explanation.route, "[DEFAULT]");
        assert!(!explanation.retryable);
        assert_eq!(explanation.passed_over.len(), 2);
        assert!(table(&explanation).contains("RETRY         never: no route says"));
        let post = table(&explain(&Method::POST, "/x", &profile()));
        assert!(
            post.contains("RESEND        if no endpoint was reached\n"),
            "{post}"
        );
    }

    #[test]
    fn of_many_routes_the_nearest_are_shown() {
        let route = |i| format!(r#"{{"name": "r{i}", "condition": {{"pathRegex": "/r{i}"}}}}"#);
        let routes: Vec<_> = (0..100).map(route).collect();
        let profile = format!(r#"{{"routes": [{}]}}"#, routes.join(","));
        let profile = serde_json::from_str(&profile).unwrap();
        let text = table(&explain(&Method::GET, "/r99", &profile));
        assert!(text.contains("  not         79 routes before the following; -o json says why\n"));
        assert!(text.contains("  not         r79: ") && !text.contains("r78: "));
    }
}
