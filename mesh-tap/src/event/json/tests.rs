use super::*;

/// A request in the form of `linkerd viz tap -o json`.
const REQUEST: &str = r#"{
  "source": {
    "ip": "10.0.0.1",
    "port": 50000,
    "metadata": null
  },
  "destination": {
    "ip": "ff01::1",
    "port": 80,
    "metadata": {
      "pod": "my-pod",
      "tls": "true"
    }
  },
  "routeMeta": null,
  "proxyDirection": "OUTBOUND",
  "requestInitEvent": {
    "id": {
      "base": 1,
      "stream": 0
    },
    "method": "GET",
    "scheme": "HTTPS",
    "authority": "localhost",
    "path": "/some/path",
    "headers": [
      {
        "name": "x-text",
        "valueStr": "some text"
      },
      {
        "name": "x-bytes",
        "valueBin": "/wk="
      }
    ]
  }
}"#;
const END: &str = r#"{
  "source": null,
  "destination": null,
  "routeMeta": {
    "route": "GET /"
  },
  "proxyDirection": "INBOUND",
  "responseEndEvent": {
    "id": {
      "base": 1,
      "stream": 7
    },
    "sinceRequestInit": {
      "seconds": 10
    },
    "sinceResponseInit": {
      "nanos": 64000
    },
    "responseBytes": 1337,
    "trailers": null,
    "grpcStatusCode": 14
  }
}"#;

#[test]
fn json_is_that_of_linkerd_both_ways() {
    for text in [REQUEST, END] {
        let event: Event = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&event).unwrap(), text);
    }
}

#[test]
fn a_stated_success_is_told_from_no_status() {
    let ok = END.replace(
        "\"grpcStatusCode\": 14",
        "\"grpcStatusCode\": 0,\n    \"grpcOk\": true",
    );
    let none = END.replace("\"grpcStatusCode\": 14", "\"grpcStatusCode\": 0");
    for (text, status) in [(ok, Some(0)), (none, None)] {
        let event: Event = serde_json::from_str(&text).unwrap();
        let EventKind::End(end) = &event.kind else {
            panic!("{event}");
        };
        assert_eq!(end.grpc_status, status);
        assert_eq!(serde_json::to_string_pretty(&event).unwrap(), text);
    }
}

#[test]
fn a_version_and_a_query_are_read_back() {
    for name in ["HTTP/1.0", "HTTP/1.1", "HTTP/2"] {
        let ours =
            format!("some/path\",\n    \"query\": \"q=1\",\n    \"httpVersion\": \"{name}\"");
        let text = REQUEST.replace("some/path\"", &ours);
        let event: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string_pretty(&event).unwrap(), text);
    }
}

#[test]
fn what_is_not_an_event_is_refused() {
    for (from, to) in [
        ("requestInitEvent", "other"),
        ("10.0.0.1", "localhost"),
        ("GET", "G E T"),
        ("/wk=", "*"),
        ("x-text", ""),
        ("\"method\"", "\"httpVersion\": \"SPDY\", \"method\""),
    ] {
        let text = REQUEST.replace(from, to);
        assert!(serde_json::from_str::<Event>(&text).is_err(), "{to}");
    }
}
