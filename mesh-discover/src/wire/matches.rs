//! Conditions: people write several members in one object, the wire has one member each.

use linkerd2_proxy_api::{
    destination::{
        HttpStatusRange, PathMatch, RequestMatch, ResponseMatch, request_match, response_match,
    },
    http_types::{
        HttpMethod,
        http_method::{Registered, Type},
    },
};
use mesh_profile::{RequestMatchSpec, ResponseMatchSpec, StatusRangeSpec};

/// `None` if the condition, or one in it, has no member.
pub(super) fn request_to_wire(spec: &RequestMatchSpec) -> Option<RequestMatch> {
    use request_match::{Match, Seq};

    let list = |list: &[RequestMatchSpec]| -> Option<Seq> {
        let matches = list.iter().map(request_to_wire).collect::<Option<_>>()?;
        Some(Seq { matches })
    };
    let mut members = Vec::new();
    // The order is Linkerd's.
    if let Some(all) = &spec.all {
        members.push(Match::All(list(all)?));
    }
    if let Some(any) = &spec.any {
        members.push(Match::Any(list(any)?));
    }
    if let Some(method) = &spec.method {
        members.push(Match::Method(method_to_wire(method)));
    }
    if let Some(not) = &spec.not {
        members.push(Match::Not(Box::new(request_to_wire(not)?)));
    }
    if let Some(regex) = &spec.path_regex {
        members.push(Match::Path(PathMatch {
            regex: regex_to_wire(regex),
        }));
    }
    let only = |member| RequestMatch {
        r#match: Some(member),
    };
    match members.len() {
        0 | 1 => members.pop().map(only),
        _ => Some(only(Match::All(Seq {
            matches: members.into_iter().map(only).collect(),
        }))),
    }
}

/// `None` if the condition, or one in it, has no member.
pub(super) fn request_from_wire(wire: &RequestMatch) -> Option<RequestMatchSpec> {
    use request_match::Match;

    let list = |list: &[RequestMatch]| list.iter().map(request_from_wire).collect::<Option<_>>();
    let mut spec = RequestMatchSpec::default();
    match wire.r#match.as_ref()? {
        Match::All(all) => {
            let parts: Vec<RequestMatchSpec> = list(&all.matches)?;
            match merge_requests(&parts) {
                Some(merged) => spec = merged,
                None => spec.all = Some(parts),
            }
        }
        Match::Any(any) => spec.any = Some(list(&any.matches)?),
        Match::Not(not) => spec.not = Some(Box::new(request_from_wire(not)?)),
        Match::Path(path) => spec.path_regex = Some(regex_from_wire(&path.regex).to_owned()),
        Match::Method(method) => spec.method = Some(method_from_wire(method)?),
    }
    Some(spec)
}

/// The regex of a whole path, grouped and anchored: Linkerd's proxy puts anchors around one that has
/// none, but no group, so that the first of two alternatives would match a prefix.
fn regex_to_wire(regex: &str) -> String {
    format!("^(?:{regex})$")
}

/// The regex without the group and anchors of [`regex_to_wire`], if it has them.
fn regex_from_wire(regex: &str) -> &str {
    let inner = regex
        .strip_prefix("^(?:")
        .and_then(|it| it.strip_suffix(")$"));
    inner.filter(|inner| is_balanced(inner)).unwrap_or(regex)
}

/// Returns true if no parenthesis in `regex` closes one that was opened before it.
fn is_balanced(regex: &str) -> bool {
    let (mut depth, mut in_class, mut escaped) = (0_u32, 0_u32, false);
    for c in regex.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class += 1,
            ']' => in_class = in_class.saturating_sub(1),
            '(' if in_class == 0 => depth += 1,
            ')' if in_class == 0 => match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            },
            _ => {}
        }
    }
    depth == 0 && in_class == 0 && !escaped
}

/// The one object with several members that would be sent as this list, if there is one.
fn merge_requests(parts: &[RequestMatchSpec]) -> Option<RequestMatchSpec> {
    let mut merged = RequestMatchSpec::default();
    let mut last = 0;
    for part in parts {
        let members = [
            part.all.is_some(),
            part.any.is_some(),
            part.method.is_some(),
            part.not.is_some(),
            part.path_regex.is_some(),
        ];
        let rank = only_member(&members).filter(|rank| *rank > last)?;
        last = rank;
        match rank {
            1 => merged.all.clone_from(&part.all),
            2 => merged.any.clone_from(&part.any),
            3 => merged.method.clone_from(&part.method),
            4 => merged.not.clone_from(&part.not),
            _ => merged.path_regex.clone_from(&part.path_regex),
        }
    }
    (parts.len() > 1).then_some(merged)
}

/// The place, from one, of the only member that is present.
fn only_member(members: &[bool]) -> Option<usize> {
    let first = members.iter().position(|present| *present)?;
    let rest = &members[first + 1..];
    (!rest.contains(&true)).then_some(first + 1)
}

fn method_to_wire(method: &str) -> HttpMethod {
    HttpMethod {
        r#type: Some(match Registered::from_str_name(method) {
            Some(registered) => Type::Registered(registered.into()),
            None => Type::Unregistered(method.into()),
        }),
    }
}

fn method_from_wire(method: &HttpMethod) -> Option<String> {
    Some(match method.r#type.as_ref()? {
        Type::Registered(number) => Registered::try_from(*number).ok()?.as_str_name().into(),
        Type::Unregistered(name) => name.clone(),
    })
}

/// `None` if the condition, or one in it, has no member.
pub(super) fn response_to_wire(spec: &ResponseMatchSpec) -> Option<ResponseMatch> {
    use response_match::{Match, Seq};

    let list = |list: &[ResponseMatchSpec]| -> Option<Seq> {
        let matches = list.iter().map(response_to_wire).collect::<Option<_>>()?;
        Some(Seq { matches })
    };
    let mut members = Vec::new();
    if let Some(all) = &spec.all {
        members.push(Match::All(list(all)?));
    }
    if let Some(any) = &spec.any {
        members.push(Match::Any(list(any)?));
    }
    if let Some(not) = &spec.not {
        members.push(Match::Not(Box::new(response_to_wire(not)?)));
    }
    if let Some(StatusRangeSpec { min, max }) = spec.status {
        // One bound alone means that one code; Linkerd's proxy would discard it.
        let (min, max) = match (min, max) {
            (0, code) | (code, 0) => (code, code),
            bounds => bounds,
        };
        members.push(Match::Status(HttpStatusRange { min, max }));
    }
    let only = |member| ResponseMatch {
        r#match: Some(member),
    };
    match members.len() {
        0 | 1 => members.pop().map(only),
        _ => Some(only(Match::All(Seq {
            matches: members.into_iter().map(only).collect(),
        }))),
    }
}

/// `None` if the condition, or one in it, has no member.
pub(super) fn response_from_wire(wire: &ResponseMatch) -> Option<ResponseMatchSpec> {
    use response_match::Match;

    let list = |list: &[ResponseMatch]| list.iter().map(response_from_wire).collect::<Option<_>>();
    let mut spec = ResponseMatchSpec::default();
    match wire.r#match.as_ref()? {
        Match::All(all) => {
            let parts: Vec<ResponseMatchSpec> = list(&all.matches)?;
            match merge_responses(&parts) {
                Some(merged) => spec = merged,
                None => spec.all = Some(parts),
            }
        }
        Match::Any(any) => spec.any = Some(list(&any.matches)?),
        Match::Not(not) => spec.not = Some(Box::new(response_from_wire(not)?)),
        Match::Status(HttpStatusRange { min, max }) => {
            let (min, max) = (*min, *max);
            spec.status = Some(StatusRangeSpec { min, max });
        }
    }
    Some(spec)
}

/// The one object with several members that would be sent as this list, if there is one.
fn merge_responses(parts: &[ResponseMatchSpec]) -> Option<ResponseMatchSpec> {
    let mut merged = ResponseMatchSpec::default();
    let mut last = 0;
    for part in parts {
        let members = [
            part.all.is_some(),
            part.any.is_some(),
            part.not.is_some(),
            part.status.is_some(),
        ];
        let rank = only_member(&members).filter(|rank| *rank > last)?;
        last = rank;
        match rank {
            1 => merged.all.clone_from(&part.all),
            2 => merged.any.clone_from(&part.any),
            3 => merged.not.clone_from(&part.not),
            _ => merged.status = part.status,
        }
    }
    (parts.len() > 1).then_some(merged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_sent_grouped_and_anchored_and_read_as_it_was() {
        for regex in ["/aa|/b", "/a(b|c)[)]", "^/a$", "^(?:a)|(?:b)$", "", r"/\)"] {
            let wire = regex_to_wire(regex);
            assert!(wire.starts_with('^') && wire.ends_with('$'));
            assert_eq!(regex_from_wire(&wire), regex);
        }
        // Others send what people wrote.
        for regex in ["/a/.*", "^(?:a)|(?:b)$", "^/a$"] {
            assert_eq!(regex_from_wire(regex), regex);
        }
    }
}
