use super::template::{Segment, Template};
use crate::{pattern::PathRegex, request::RequestMatch};
use http::Method;

/// One way to meet a condition: a method, a template, and whether there is more to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Term<'a> {
    /// Any, if absent.
    pub(super) method: Option<&'a Method>,
    /// The whole path.
    pub(super) template: Option<&'a Template>,
    /// The segments that the path begins with.
    pub(super) prefix: &'a [Segment],
    /// True if only the condition itself can decide.
    pub(super) hard: bool,
}

/// The most terms that alternatives joined by `all` are multiplied out to. Above it a condition
/// is evaluated as it stands.
const MAX_PRODUCT: usize = 64;

/// Takes `condition` apart: it holds if and only if one of the terms does.
pub(super) fn of(condition: &RequestMatch) -> Vec<Term<'_>> {
    let mut terms = vec![Term::default()];
    restrict(&mut terms, condition);
    terms
}

fn restrict<'a>(terms: &mut Vec<Term<'a>>, condition: &'a RequestMatch) {
    match condition {
        RequestMatch::All(all) => all.iter().for_each(|one| restrict(terms, one)),
        RequestMatch::Any(any) => {
            let alternatives: Vec<_> = any.iter().flat_map(of).collect();
            if terms.len() > 1 && terms.len() * alternatives.len() > MAX_PRODUCT {
                terms.iter_mut().for_each(|term| term.hard = true);
                return;
            }
            *terms = terms
                .iter()
                .flat_map(|term| alternatives.iter().filter_map(|more| term.and(more)))
                .collect();
        }
        RequestMatch::Not(_) => terms.iter_mut().for_each(|term| term.hard = true),
        RequestMatch::Method(method) => {
            let more = Term {
                method: Some(method),
                ..Term::default()
            };
            *terms = terms.iter().filter_map(|term| term.and(&more)).collect();
        }
        RequestMatch::Path(regex) => {
            let more = Term::path(regex);
            *terms = terms.iter().filter_map(|term| term.and(&more)).collect();
        }
    }
}

impl<'a> Term<'a> {
    fn path(regex: &'a PathRegex) -> Self {
        let template = regex.template();
        Self {
            method: None,
            template,
            prefix: regex.prefix(),
            hard: template.is_none(),
        }
    }

    /// Both; `None` if that cannot be.
    fn and(&self, other: &Self) -> Option<Self> {
        let method = match (self.method, other.method) {
            (Some(a), Some(b)) if a != b => return None,
            (a, b) => a.or(b),
        };
        let both = matches!((self.template, other.template), (Some(a), Some(b)) if a != b);
        let prefix = if other.prefix.len() > self.prefix.len() {
            other.prefix
        } else {
            self.prefix
        };
        Some(Self {
            method,
            template: self.template.or(other.template),
            prefix,
            hard: self.hard || other.hard || both,
        })
    }
}
