use super::{Event, EventKind, Labels};
use mesh_core::Direction;
use std::{fmt, net::SocketAddr};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            EventKind::Request(_) => "req",
            EventKind::Response(_) => "rsp",
            EventKind::End(_) => "end",
        };
        let proxy = match self.direction {
            Direction::Inbound => "in ",
            Direction::Outbound => "out",
        };
        write!(
            f,
            "{kind} id={}:{} proxy={proxy} src={} dst={} tls={}",
            self.id.base,
            self.id.stream,
            Addr(self.source.addr),
            Addr(self.destination.addr),
            self.peer().label("tls").unwrap_or_default(),
        )?;
        match &self.kind {
            EventKind::Request(request) => write!(
                f,
                " :method={} :authority={} :path={}",
                request.method, request.authority, request.path
            ),
            EventKind::Response(response) => write!(
                f,
                " :status={} latency={}µs",
                response.status.as_u16(),
                response.since_request.as_micros()
            ),
            EventKind::End(end) => {
                if let Some(code) = end.grpc_status {
                    write!(f, " grpc-status={}", GrpcName(code))?;
                }
                if let Some(code) = end.reset_code {
                    write!(f, " reset-error={code}")?;
                }
                // Linkerd says nothing of why there was no response.
                if let Some(reason) = &end.reason {
                    write!(f, " reason={reason}")?;
                }
                if let Some(reason) = &end.not_retried {
                    write!(f, " not-retried={reason}")?;
                }
                write!(
                    f,
                    " duration={}µs response-length={}B",
                    end.since_response.unwrap_or_default().as_micros(),
                    end.bytes
                )
            }
        }
    }
}

/// An [`Event`] as a line with every label at its end.
#[derive(Clone, Copy, Debug)]
pub struct Wide<'a>(pub(super) &'a Event);

impl fmt::Display for Wide<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        write_labels(f, "src", &self.0.source.labels)?;
        write_labels(f, "dst", &self.0.destination.labels)?;
        write_labels(f, "rt", &self.0.route)
    }
}

fn write_labels(f: &mut fmt::Formatter<'_>, prefix: &str, labels: &Labels) -> fmt::Result {
    let mut sorted: Vec<_> = labels.iter().collect();
    sorted.sort_unstable();
    for (name, value) in sorted {
        write!(f, " {prefix}_{name}={value}")?;
    }
    Ok(())
}

struct Addr(Option<SocketAddr>);

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |addr| addr.fmt(f))
    }
}

/// The name of a gRPC status code; `None` for one that gRPC does not know.
pub fn grpc_name(code: u16) -> Option<&'static str> {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    NAMES.get(usize::from(code)).copied()
}

struct GrpcName(u16);

impl fmt::Display for GrpcName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match grpc_name(self.0) {
            Some(name) => f.write_str(name),
            None => write!(f, "Code({})", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        Direction, Event, EventId, EventKind, Labels, Peer, RequestInit, ResponseEnd, ResponseInit,
    };
    use http::StatusCode;
    use std::time::Duration;

    fn labels<const N: usize>(labels: [(&str, &str); N]) -> Labels {
        let owned = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        owned.into()
    }

    fn event(kind: EventKind) -> Event {
        Event {
            id: EventId { base: 3, stream: 0 },
            direction: Direction::Inbound,
            source: Peer {
                addr: Some("10.8.0.14:51234".parse().unwrap()),
                labels: labels([("tls", "true"), ("deployment", "traffic")]),
            },
            destination: Peer {
                addr: Some("10.8.0.21:7000".parse().unwrap()),
                labels: labels([("pod", "webapp-0")]),
            },
            route: labels([("route", "GET /books/{id}")]),
            kind,
        }
    }

    #[test]
    fn lines_are_those_of_linkerd() {
        let request = event(EventKind::Request(RequestInit {
            authority: "webapp.booksapp:7000".into(),
            path: "/books/12".into(),
            ..RequestInit::default()
        }));
        assert_eq!(
            request.to_string(),
            "req id=3:0 proxy=in  src=10.8.0.14:51234 dst=10.8.0.21:7000 tls=true \
             :method=GET :authority=webapp.booksapp:7000 :path=/books/12"
        );
        assert_eq!(
            request.wide().to_string(),
            format!(
                "{request} src_deployment=traffic src_tls=true dst_pod=webapp-0 \
                 rt_route=GET /books/{{id}}"
            )
        );

        let response = event(EventKind::Response(ResponseInit {
            since_request: Duration::from_nanos(5_231_999),
            status: StatusCode::OK,
            version: None,
            headers: None,
        }));
        assert_eq!(
            response.to_string(),
            "rsp id=3:0 proxy=in  src=10.8.0.14:51234 dst=10.8.0.21:7000 tls=true \
             :status=200 latency=5231µs"
        );

        let end = event(EventKind::End(ResponseEnd {
            since_response: Some(Duration::from_micros(64)),
            bytes: 913,
            ..ResponseEnd::default()
        }));
        assert_eq!(
            end.to_string(),
            "end id=3:0 proxy=in  src=10.8.0.14:51234 dst=10.8.0.21:7000 tls=true \
             duration=64µs response-length=913B"
        );
    }

    #[test]
    fn ends_name_what_went_wrong() {
        let end = |change: fn(&mut ResponseEnd)| {
            let mut end = ResponseEnd::default();
            change(&mut end);
            let event = Event {
                direction: Direction::Outbound,
                source: Peer::default(),
                destination: Peer {
                    addr: Some("[::1]:80".parse().unwrap()),
                    ..Peer::default()
                },
                ..event(EventKind::End(end))
            };
            event.to_string()
        };
        let line = |rest| {
            format!(
                "end id=3:0 proxy=out src= dst=[::1]:80 tls= {rest} duration=0µs \
                 response-length=0B"
            )
        };
        assert_eq!(
            end(|end| end.grpc_status = Some(14)),
            line("grpc-status=Unavailable")
        );
        assert_eq!(
            end(|end| end.grpc_status = Some(666)),
            line("grpc-status=Code(666)")
        );
        assert_eq!(end(|end| end.reset_code = Some(8)), line("reset-error=8"));
        assert_eq!(
            end(|end| end.reason = Some("timeout".into())),
            line("reason=timeout")
        );
    }
}
