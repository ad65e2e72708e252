use super::segments::same;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use std::borrow::Cow;

/// A path regex made of literals and `[^/]*`: what an OpenAPI path becomes.
///
/// Such a regex never looks across a slash, so it is a list of segments. It may end in `.*`,
/// which takes the rest of the path, slashes included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) segments: Vec<Segment>,
    /// Present if the last segment is open: it and all that follows begin so.
    pub(crate) tail: Option<Tail>,
}

/// The most segments; a longer pattern is left to an automaton. It bounds the recursion of the
/// lookup.
pub(super) const MAX_SEGMENTS: usize = 64;

/// The rest of a path behind the matched segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) literal: Box<str>,
    /// `.` is any character but this one.
    pub(crate) newline: bool,
}

/// The pattern between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    Literal(Box<str>),
    /// `[^/]*`, or `[^/]+` if `min` is 1.
    Any {
        min: usize,
    },
    Mixed(Mixed),
}

/// Literals and wildcards within one segment, like `[^/]*\.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mixed {
    /// The literal before the first wildcard; may be empty.
    pub(crate) first: Box<str>,
    /// Each wildcard's least length and the literal after it; only the last may be empty.
    pub(crate) rest: Vec<(usize, Box<str>)>,
}

impl Template {
    pub(crate) fn is_match(&self, path: &str) -> bool {
        let mut rest = Some(path);
        for segment in &self.segments {
            let Some(path) = rest else { return false };
            let (head, after) = split(path);
            if !segment.is_match(head) {
                return false;
            }
            rest = after;
        }
        match (&self.tail, rest) {
            (None, rest) => rest.is_none(),
            (Some(_), None) => false,
            (Some(tail), Some(rest)) => tail.is_match(rest),
        }
    }
}

/// The segment that `path` begins with, and what follows its slash.
fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('/')
        .map_or((path, None), |(segment, rest)| (segment, Some(rest)))
}

impl Tail {
    pub(crate) fn is_match(&self, rest: &str) -> bool {
        rest.strip_prefix(&*self.literal)
            .is_some_and(|rest| self.newline || !rest.contains('\n'))
    }
}

impl Segment {
    pub(crate) fn is_match(&self, segment: &str) -> bool {
        match self {
            Self::Literal(literal) => **literal == *segment,
            Self::Any { min } => segment.len() >= *min,
            Self::Mixed(mixed) => mixed.is_match(segment),
        }
    }
}

impl Mixed {
    pub(crate) fn is_match(&self, segment: &str) -> bool {
        if let [(min, last)] = self.rest.as_slice() {
            return self.is_around(segment.as_bytes(), *min, last.as_bytes());
        }
        let Some(mut rest) = segment.strip_prefix(&*self.first) else {
            return false;
        };
        let Some(((last_min, last), middle)) = self.rest.split_last() else {
            return rest.is_empty();
        };
        // The leftmost place for each literal leaves the most to those after it.
        for (min, literal) in middle {
            // Literals begin where characters do, so that a wildcard takes whole ones.
            let from = if *min == 0 { 0 } else { first_char(rest) };
            let found = rest
                .get(from..)
                .and_then(|from| from.split_once(&**literal));
            let Some((_, after)) = found else {
                return false;
            };
            rest = after;
        }
        rest.strip_suffix(&**last)
            .is_some_and(|rest| rest.len() >= *last_min)
    }
}

impl Mixed {
    /// Returns true if `segment` begins with the first literal, ends with `last` and has at least
    /// `min` bytes. Most templates need no more.
    fn is_around(&self, segment: &[u8], min: usize, last: &[u8]) -> bool {
        let first = self.first.as_bytes();
        segment.len() >= first.len() + min + last.len()
            && same(&segment[..first.len()], first)
            && same(&segment[segment.len() - last.len()..], last)
    }
}

fn first_char(text: &str) -> usize {
    text.chars().next().map_or(usize::MAX, char::len_utf8)
}

/// The leading segments of `hir` that are a template's, and the template if all of it is.
pub(crate) fn of(hir: &Hir) -> (Vec<Segment>, Option<Template>) {
    let mut pieces = Vec::new();
    flatten(hir, &mut pieces);

    let mut builder = Builder::default();
    let mut rest = pieces.as_slice();
    if let Some((Piece::Start, after)) = rest.split_first() {
        rest = after;
    }
    while let Some((piece, after)) = rest.split_first() {
        let taken = match piece {
            Piece::Literal(text) => builder.literal(text),
            Piece::Wildcard { min } => builder.wildcard(*min),
            Piece::Tail { newline } if matches!(after, [] | [Piece::End]) => builder.tail(*newline),
            Piece::End if after.is_empty() => true,
            _ => false,
        };
        if !taken {
            return (builder.segments, None);
        }
        rest = after;
    }
    builder.finish()
}

enum Piece<'a> {
    Start,
    End,
    Literal(Cow<'a, str>),
    Wildcard { min: usize },
    Tail { newline: bool },
    Other,
}

fn flatten<'a>(hir: &'a Hir, pieces: &mut Vec<Piece<'a>>) {
    match hir.kind() {
        HirKind::Empty => {}
        HirKind::Literal(literal) => pieces.push(match std::str::from_utf8(&literal.0) {
            Ok(text) => Piece::Literal(Cow::Borrowed(text)),
            Err(_) => Piece::Other,
        }),
        HirKind::Look(Look::Start) => pieces.push(Piece::Start),
        HirKind::Look(Look::End) => pieces.push(Piece::End),
        HirKind::Capture(capture) => flatten(&capture.sub, pieces),
        HirKind::Concat(parts) => parts.iter().for_each(|part| flatten(part, pieces)),
        HirKind::Repetition(repetition) => pieces.push(repeated(repetition)),
        _ => pieces.push(Piece::Other),
    }
}

/// `[^/]*`, `[^/]+`, `.*`; greed makes no difference to whether a whole path matches.
fn repeated<'a>(repetition: &Repetition) -> Piece<'a> {
    let HirKind::Class(Class::Unicode(class)) = repetition.sub.kind() else {
        return Piece::Other;
    };
    let ranges: Vec<_> = class
        .ranges()
        .iter()
        .map(|r| (r.start(), r.end()))
        .collect();
    match (repetition.min, repetition.max, ranges.as_slice()) {
        (min @ 0..=1, None, [('\0', '.'), ('0', char::MAX)]) => {
            Piece::Wildcard { min: min as usize }
        }
        (0, None, [('\0', '\t'), ('\u{b}', char::MAX)]) => Piece::Tail { newline: false },
        (0, None, [('\0', char::MAX)]) => Piece::Tail { newline: true },
        _ => Piece::Other,
    }
}

#[derive(Default)]
struct Builder {
    segments: Vec<Segment>,
    first: String,
    rest: Vec<(usize, String)>,
    tail: Option<bool>,
}

impl Builder {
    fn literal(&mut self, text: &str) -> bool {
        let mut parts = text.split('/');
        self.append(parts.next().unwrap_or_default());
        for part in parts {
            if self.segments.len() == MAX_SEGMENTS {
                return false;
            }
            let segment = self.close();
            self.segments.push(segment);
            self.append(part);
        }
        true
    }

    fn append(&mut self, text: &str) {
        match self.rest.last_mut() {
            Some((_, literal)) => literal.push_str(text),
            None => self.first.push_str(text),
        }
    }

    fn wildcard(&mut self, min: usize) -> bool {
        match self.rest.last_mut() {
            // Two wildcards in a row are one; two characters at least are beyond a template.
            Some((before, literal)) if literal.is_empty() => {
                *before += min;
                *before <= 1
            }
            _ => {
                self.rest.push((min, String::new()));
                true
            }
        }
    }

    fn tail(&mut self, newline: bool) -> bool {
        self.tail = Some(newline);
        self.rest.is_empty()
    }

    fn close(&mut self) -> Segment {
        let first = std::mem::take(&mut self.first);
        let rest = std::mem::take(&mut self.rest);
        match rest.as_slice() {
            [] => Segment::Literal(first.into()),
            [(min, literal)] if first.is_empty() && literal.is_empty() => {
                Segment::Any { min: *min }
            }
            _ => Segment::Mixed(Mixed {
                first: first.into(),
                rest: rest.into_iter().map(|(m, l)| (m, l.into())).collect(),
            }),
        }
    }

    fn finish(mut self) -> (Vec<Segment>, Option<Template>) {
        let prefix = self.segments.clone();
        let tail = match self.tail {
            Some(newline) => Some(Tail {
                literal: std::mem::take(&mut self.first).into(),
                newline,
            }),
            None => {
                let last = self.close();
                self.segments.push(last);
                None
            }
        };
        let template = Template {
            segments: self.segments,
            tail,
        };
        (prefix, Some(template))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(pattern: &str) -> Option<Template> {
        of(&regex_syntax::parse(pattern).unwrap()).1
    }

    #[test]
    fn what_an_openapi_document_gives_is_a_template() {
        for pattern in [
            "/",
            "",
            "/books/[^/]*",
            r"/books/[^/]*\.json",
            r"/[^/]*\.[^/]*",
            "/v1/[^/]*:undelete",
            "^/a/[^/]+/b$",
            "/a/.*",
            "/files/x.*",
            "(?:/a)(/b)",
            ".*",
        ] {
            assert!(template(pattern).is_some(), "{pattern}");
        }
        for pattern in [
            r"/\d+",
            "/a|/b",
            "/[^/]*.*",
            "/.*/a",
            "(?i)/a",
            "/a?",
            "/[^/]{2,}",
            "/a$b",
            r"/\ba",
        ] {
            assert!(template(pattern).is_none(), "{pattern}");
        }
    }

    #[test]
    fn a_template_agrees_with_its_regex() {
        let paths = [
            "",
            "/",
            "//",
            "/a",
            "/a/",
            "/a/b",
            "/.json",
            "/x.json",
            "/x.json.json",
            "/x.jsonx",
            "/a.b.c",
            "/.",
            "/a.",
            "/é.json",
            "/é",
            "/é:undelete",
            "/:undelete",
            "/a/\n",
            "/a\n/b",
            "/a/x.y:undelete",
            "a",
            "/v1/é.x.é",
        ];
        for pattern in [
            "",
            "/",
            "/[^/]*",
            "/[^/]+",
            r"/[^/]*\.json",
            r"/[^/]+\.json",
            r"/[^/]*\.[^/]*",
            r"/[^/]+\.[^/]+",
            r"/[^/]+\.[^/]+\.[^/]+",
            "/[^/]*:undelete",
            "/a/.*",
            "/a.*",
            "(?s)/a.*",
            ".*",
            "/a/[^/]*",
            "/[^/]*/[^/]*",
            r"/a/x\.y:undelete",
            "[^/]*",
            "/v1/[^/]+\\.x\\.[^/]*",
            "/a[^/]*[^/]+",
        ] {
            let template = template(pattern).unwrap();
            let regex = regex::Regex::new(&format!("^(?:{pattern})$")).unwrap();
            for path in paths {
                assert_eq!(
                    template.is_match(path),
                    regex.is_match(path),
                    "{pattern:?} on {path:?}"
                );
            }
        }
    }
}
