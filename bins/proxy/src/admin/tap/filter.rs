use linkerd2_proxy_api::tap::{
    ObserveRequest,
    observe_request::{
        Match, extract,
        r#match::{Http, Label, Match as One, Tcp, http, http::string_match, tcp},
    },
};
use mesh_tap::{Condition, Filter, Text};
use std::net::IpAddr;

/// A condition inside a condition, and so on: more is refused.
const MAX_DEPTH: usize = 16;

/// The filter that `req` describes.
///
/// # Errors
///
/// Which part of it is missing or makes no sense.
pub(super) fn from_wire(req: &ObserveRequest) -> Result<Filter, &'static str> {
    if req.limit == 0 {
        return Err("limit must be greater than zero");
    }
    let condition = condition(req.r#match.as_ref(), MAX_DEPTH)?;
    let filter = Filter::new().and(condition).limit(req.limit.into());
    let headers = req
        .extract
        .as_ref()
        .and_then(|extract| extract.extract.as_ref());
    Ok(match headers {
        Some(extract::Extract::Http(extract::Http { extract: Some(_) })) => filter.with_headers(),
        _ => filter,
    })
}

fn condition(wire: Option<&Match>, depth: usize) -> Result<Condition, &'static str> {
    let one = wire
        .and_then(|wire| wire.r#match.as_ref())
        .ok_or("missing match")?;
    let depth = depth.checked_sub(1).ok_or("match is nested too deeply")?;
    let list = |list: &[Match]| {
        let conditions = list.iter().map(|one| condition(Some(one), depth));
        conditions.collect::<Result<Vec<_>, _>>()
    };
    Ok(match one {
        One::All(all) => Condition::All(list(&all.matches)?),
        One::Any(any) => Condition::Any(list(&any.matches)?),
        One::Not(not) => Condition::Not(Box::new(condition(Some(not), depth)?)),
        One::Source(tcp) => address(tcp, Condition::SourceIn, Condition::SourcePort)?,
        One::Destination(tcp) => {
            address(tcp, Condition::DestinationIn, Condition::DestinationPort)?
        }
        One::Http(http) => of_request(http)?,
        One::DestinationLabel(Label { key, value }) => {
            Condition::DestinationLabel(key.clone(), value.clone())
        }
        One::RouteLabel(Label { key, value }) => Condition::RouteLabel(key.clone(), value.clone()),
    })
}

fn address(
    tcp: &Tcp,
    network: fn(IpAddr, u8) -> Condition,
    ports: fn(u16, u16) -> Condition,
) -> Result<Condition, &'static str> {
    match tcp.r#match.as_ref().ok_or("missing address match")? {
        tcp::Match::Netmask(mask) => {
            let ip = mask
                .ip
                .and_then(|ip| ip.try_into().ok())
                .ok_or("invalid address")?;
            let bits = u8::try_from(mask.mask).map_err(|_| "invalid mask")?;
            let most = if IpAddr::is_ipv4(&ip) { 32 } else { 128 };
            if bits > most {
                return Err("invalid mask");
            }
            Ok(network(ip, bits))
        }
        tcp::Match::Ports(range) => {
            let port = |port| u16::try_from(port).map_err(|_| "invalid port");
            let min = port(range.min)?;
            let max = if range.max == 0 {
                min
            } else {
                port(range.max)?
            };
            if min == 0 || max < min {
                return Err("invalid port range");
            }
            Ok(ports(min, max))
        }
    }
}

fn of_request(http: &Http) -> Result<Condition, &'static str> {
    Ok(match http.r#match.as_ref().ok_or("missing http match")? {
        http::Match::Scheme(scheme) => {
            let scheme: ::http::uri::Scheme =
                scheme.clone().try_into().map_err(|_| "invalid scheme")?;
            Condition::Scheme(scheme.as_str().to_owned())
        }
        http::Match::Method(method) => {
            let method: ::http::Method = method.clone().try_into().map_err(|_| "invalid method")?;
            Condition::Method(method.as_str().to_owned())
        }
        http::Match::Authority(authority) => Condition::Authority(text(authority)?),
        http::Match::Path(path) => Condition::Path(text(path)?),
    })
}

fn text(wire: &http::StringMatch) -> Result<Text, &'static str> {
    Ok(match wire.r#match.as_ref().ok_or("missing text")? {
        string_match::Match::Exact(exact) => Text::Exact(exact.clone()),
        string_match::Match::Prefix(prefix) => Text::Prefix(prefix.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(one: One) -> ObserveRequest {
        ObserveRequest {
            limit: 7,
            r#match: Some(Match { r#match: Some(one) }),
            extract: None,
        }
    }

    #[test]
    fn what_linkerds_command_line_sends_is_understood() {
        let label = |key: &str, value: &str| {
            let (key, value) = (key.to_owned(), value.to_owned());
            Match {
                r#match: Some(One::DestinationLabel(Label { key, value })),
            }
        };
        let matches = vec![label("deployment", "books"), label("namespace", "shop")];
        let all = One::All(linkerd2_proxy_api::tap::observe_request::r#match::Seq { matches });
        let expected = Filter::new()
            .and(Condition::All(vec![
                Condition::DestinationLabel("deployment".into(), "books".into()),
                Condition::DestinationLabel("namespace".into(), "shop".into()),
            ]))
            .limit(7);
        assert_eq!(from_wire(&request(all)), Ok(expected));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut none = request(One::Http(Http { r#match: None }));
        assert_eq!(from_wire(&none), Err("missing http match"));
        none.r#match = None;
        assert_eq!(from_wire(&none), Err("missing match"));
        none.limit = 0;
        assert_eq!(from_wire(&none), Err("limit must be greater than zero"));

        let ports = |min, max| {
            let ports = tcp::Match::Ports(tcp::PortRange { min, max });
            from_wire(&request(One::Source(Tcp {
                r#match: Some(ports),
            })))
        };
        assert!(ports(80, 0).is_ok() && ports(80, 90).is_ok());
        assert!(ports(0, 0).is_err() && ports(90, 80).is_err() && ports(70_000, 0).is_err());

        let mut deep = Match { r#match: None };
        for _ in 0..100 {
            deep = Match {
                r#match: Some(One::Not(Box::new(deep))),
            };
        }
        let deep = request(deep.r#match.unwrap());
        assert_eq!(from_wire(&deep), Err("match is nested too deeply"));
    }
}
