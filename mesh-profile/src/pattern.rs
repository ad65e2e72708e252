use crate::matcher::template::{self, Segment, Template};
use regex_automata::{
    Anchored, Input,
    dfa::{Automaton, StartKind, dense},
    meta,
    nfa::thompson::{self, WhichCaptures},
};
use regex_syntax::{
    Parser,
    hir::{Hir, Look},
};
use std::fmt;

/// A regular expression over whole raw paths.
///
/// It is anchored as a group, so that `a|b` is two whole paths; Linkerd puts `^` and `$` around
/// the text, by which `a|b` also matches `/axyz`. Anchors of the author's own do no harm.
///
/// Most are *templates*, literals and `[^/]*`, which need no automaton. Others become a dense
/// DFA, which allocates nothing when it runs and is one table that threads may share.
#[derive(Clone)]
pub(crate) struct PathRegex {
    source: String,
    /// The leading segments, as far as they are those of a template.
    prefix: Vec<Segment>,
    matcher: PathMatcher,
}

#[derive(Clone)]
enum PathMatcher {
    Template(Template),
    Dfa(Box<dense::DFA<Vec<u32>>>),
    /// A regex beyond a DFA of reasonable size: large counted repetitions, or Unicode word
    /// boundaries. Matching may allocate.
    Meta(Box<meta::Regex>),
}

/// Compiles the patterns of one profile, within one allowance of memory.
pub(crate) struct PatternCompiler {
    dfa_bytes_left: usize,
}

impl PatternCompiler {
    /// The most memory that the DFAs of one profile take.
    const DFA_BYTES: usize = 32 << 20;
    /// The most that one of them takes.
    const ONE_DFA_BYTES: usize = 512 << 10;
    /// The most that the program of one pattern takes; above it the pattern is refused.
    const NFA_BYTES: usize = 4 << 20;

    pub(crate) fn new() -> Self {
        Self {
            dfa_bytes_left: Self::DFA_BYTES,
        }
    }

    /// Compiles `source`, or says what is wrong with it.
    pub(crate) fn compile(&mut self, source: &str) -> Result<PathRegex, String> {
        let source = source.trim();
        let hir = Parser::new().parse(source).map_err(|error| {
            // The multi-line picture of the error does not fit into a message of one paragraph.
            let kind = match &error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                _ => error.to_string(),
            };
            format!("invalid regular expression {source:?}: {kind}")
        })?;
        let (prefix, template) = template::of(&hir);
        let matcher = match template {
            Some(template) => PathMatcher::Template(template),
            None => self.automaton(source, hir)?,
        };
        Ok(PathRegex {
            source: source.to_owned(),
            prefix,
            matcher,
        })
    }

    fn automaton(&mut self, source: &str, hir: Hir) -> Result<PathMatcher, String> {
        let whole = Hir::concat(vec![Hir::look(Look::Start), hir, Hir::look(Look::End)]);
        let nfa = thompson::Compiler::new()
            .configure(
                thompson::Config::new()
                    .which_captures(WhichCaptures::None)
                    .nfa_size_limit(Some(Self::NFA_BYTES)),
            )
            .build_from_hir(&whole)
            .map_err(|_| too_large(source))?;

        let limit = Self::ONE_DFA_BYTES.min(self.dfa_bytes_left);
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .dfa_size_limit(Some(limit))
                    .determinize_size_limit(Some(2 * limit)),
            )
            .build_from_nfa(&nfa);
        let spent = match &dfa {
            Ok(dfa) => dfa.memory_usage(),
            // To find out that it is too large took as long as to build one that is not, and a
            // profile of a thousand such patterns must not take a minute.
            Err(error) if error.is_size_limit_exceeded() => limit,
            Err(_) => 0,
        };
        self.dfa_bytes_left = self.dfa_bytes_left.saturating_sub(spent);
        if let Ok(dfa) = dfa {
            return Ok(PathMatcher::Dfa(Box::new(dfa)));
        }
        meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(Self::NFA_BYTES)))
            .build_from_hir(&whole)
            .map(|regex| PathMatcher::Meta(Box::new(regex)))
            .map_err(|_| too_large(source))
    }
}

fn too_large(source: &str) -> String {
    format!("regular expression {source:?} is too large")
}

impl PathRegex {
    /// Returns true if the whole `path` matches.
    pub(crate) fn is_match(&self, path: &str) -> bool {
        match &self.matcher {
            PathMatcher::Template(template) => template.is_match(path),
            PathMatcher::Dfa(dfa) => {
                let input = Input::new(path).anchored(Anchored::Yes).earliest(true);
                // It fails only for kinds of search and bytes that are not configured here.
                matches!(dfa.try_search_fwd(&input), Ok(Some(_)))
            }
            PathMatcher::Meta(regex) => regex.is_match(Input::new(path).anchored(Anchored::Yes)),
        }
    }

    /// The pattern as written, trimmed.
    pub(crate) fn as_str(&self) -> &str {
        &self.source
    }

    /// The pattern as a template, if it is one.
    pub(crate) fn template(&self) -> Option<&Template> {
        match &self.matcher {
            PathMatcher::Template(template) => Some(template),
            _ => None,
        }
    }

    /// Returns true if the regex runs as a table of its own that others can be joined with.
    pub(crate) fn is_dfa(&self) -> bool {
        matches!(self.matcher, PathMatcher::Dfa(_))
    }

    /// Segments that every matching path begins with, each followed by a slash.
    pub(crate) fn prefix(&self) -> &[Segment] {
        &self.prefix
    }
}

impl fmt::Debug for PathRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(pattern: &str, path: &str) -> bool {
        PatternCompiler::new()
            .compile(pattern)
            .unwrap()
            .is_match(path)
    }

    #[test]
    fn a_pattern_matches_the_whole_path() {
        assert!(is_match("/books/.*", "/books/1/edit"));
        assert!(!is_match("/books", "/books/"));
        assert!(!is_match("/a|/b", "/axyz"));
        assert!(is_match("/a|/b", "/b"));
        assert!(is_match("^/a$", "/a"));
        assert!(is_match("  /a\n", "/a"));
        assert!(!is_match(r"/foo\$", "/foo"));
        assert!(is_match(r"/foo\$", "/foo$"));
        assert!(is_match(r"/authors/\d+", "/authors/7"));
        assert!(!is_match(r"/authors/\d+", "/authors/7x"));
    }

    #[test]
    fn a_pattern_is_a_group_of_its_own() {
        let error = PatternCompiler::new().compile("/a)(?:/b").unwrap_err();
        assert!(error.contains("unopened group"), "{error}");
        assert!(is_match("(?x)/a # comment", "/a"));
        assert!(is_match("(?i)/A", "/a"));
    }

    #[test]
    fn a_pattern_that_is_too_large_for_a_table_is_charged_for_the_attempt() {
        let mut compiler = PatternCompiler::new();
        for (pattern, path, attempts) in [
            ("/(a|b)*a(a|b){20}", format!("/a{}", "b".repeat(20)), 1),
            // Not attempted: a table has no word boundaries of Unicode.
            (r"/\bé+", "/é".to_owned(), 1),
            ("/(a|b)*b(a|b){20}", format!("/b{}", "a".repeat(20)), 2),
        ] {
            assert!(compiler.compile(pattern).unwrap().is_match(&path));
            let left = PatternCompiler::DFA_BYTES - attempts * PatternCompiler::ONE_DFA_BYTES;
            assert_eq!(compiler.dfa_bytes_left, left, "{pattern}");
        }
    }

    #[test]
    fn what_is_too_large_for_a_table_still_matches() {
        assert!(is_match(r"/\w{40}\b", &format!("/{}", "x".repeat(40))));
        assert!(PatternCompiler::new().compile(r"/\w{9000}").is_err());
    }
}
