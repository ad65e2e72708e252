use super::*;
use crate::{Peer, RequestInit, ResponseEnd};
use http::Method;

fn facts<R>(end: Option<&ResponseEnd>, ask: impl FnOnce(Facts<'_>) -> R) -> R {
    let peer = |addr: &str, name: &str| Peer {
        addr: Some(addr.parse().unwrap()),
        labels: [("pod".to_owned(), name.to_owned())].into(),
    };
    ask(Facts {
        direction: Direction::Outbound,
        source: &peer("127.0.0.1:4000", "web-0"),
        destination: &peer("10.1.2.3:7002", "books-0"),
        route: &[("route".to_owned(), "GET /books".to_owned())].into(),
        request: &RequestInit {
            method: Method::GET,
            authority: "books:7002".into(),
            path: "/books/1".into(),
            ..RequestInit::default()
        },
        retried: Some(false),
        response: None,
        end,
    })
}

fn at_once(filter: &Filter) -> Option<bool> {
    facts(None, |facts| filter.holds(&facts))
}

#[test]
fn conditions_on_the_request_are_decided_at_once() {
    let net =
        |net: &str, bits| Filter::new().and(Condition::DestinationIn(net.parse().unwrap(), bits));
    let port = |min, max| Filter::new().and(Condition::DestinationPort(min, max));
    for (filter, expected) in [
        (Filter::new(), true),
        (
            Filter::new().method(Method::GET).path_prefix("/books"),
            true,
        ),
        (Filter::new().method("POST").path_prefix("/books"), false),
        (Filter::new().authority("books:7002"), true),
        (Filter::new().authority("books"), false),
        (Filter::new().route("GET /books"), true),
        (Filter::new().direction(Direction::Inbound), false),
        (Filter::new().destination_label("pod", "books-0"), true),
        (Filter::new().destination_label("pod", "web-0"), false),
        (Filter::new().retried(), false),
        (net("10.1.0.0", 16), true),
        (net("10.2.0.0", 16), false),
        (net("10.1.2.3", 32), true),
        (net("10.1.2.2", 32), false),
        (net("99.0.0.0", 0), true),
        (net("::ffff:10.1.0.0", 16), true),
        (net("fd00::", 8), false),
        (port(7000, 7002), true),
        (port(7003, 7003), false),
    ] {
        assert_eq!(at_once(&filter), Some(expected), "{filter:?}");
    }
}

#[test]
fn conditions_on_the_end_wait_for_it_unless_it_cannot_matter() {
    let failed = Filter::new().status(500..);
    assert_eq!(at_once(&failed), None);
    assert_eq!(at_once(&failed.clone().method("PUT")), Some(false));
    let either = Condition::Any(vec![
        Condition::Status(500, 599),
        Condition::Method("GET".into()),
    ]);
    assert_eq!(at_once(&Filter::new().and(either)), Some(true));
    let not = Condition::Not(Box::new(Condition::Status(200, 299)));
    assert_eq!(at_once(&Filter::new().and(not.clone())), None);

    let end = ResponseEnd {
        reason: Some("timeout".into()),
        since_request: Duration::from_secs(1),
        ..ResponseEnd::default()
    };
    for (filter, expected) in [
        (failed, false),
        (Filter::new().and(not), true),
        (Filter::new().reason(Fault::Elapsed), true),
        (Filter::new().reason(Fault::Reset), false),
        (Filter::new().slower_than(Duration::from_millis(300)), true),
        (Filter::new().slower_than(Duration::from_secs(2)), false),
        (Filter::new().grpc_status(14), false),
    ] {
        let holds = facts(Some(&end), |facts| filter.holds(&facts));
        assert_eq!(holds, Some(expected), "{filter:?}");
    }
}

#[test]
fn a_status_decides_before_the_end() {
    for (range, expected) in [(500..=599, true), (200..=299, false)] {
        let holds = facts(None, |facts| {
            let response = Some((503, Duration::ZERO));
            Filter::new()
                .status(range)
                .holds(&Facts { response, ..facts })
        });
        assert_eq!(holds, Some(expected));
    }
}

#[cfg(feature = "serde")]
#[test]
fn filters_are_plain_data() {
    let filter = Filter::new()
        .method("GET")
        .path_prefix("/books")
        .status(500..=599)
        .and(Condition::Any(vec![Condition::Retried]))
        .limit(10);
    let text = serde_json::to_string(&filter).unwrap();
    assert_eq!(
        text,
        r#"{"match":[{"method":"GET"},{"path":{"prefix":"/books"}},{"status":[500,599]},{"any":["retried"]}],"headers":false,"limit":10}"#
    );
    assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
    assert_eq!(serde_json::from_str::<Filter>("{}").unwrap(), Filter::new());
}
