use super::{Entry, MethodSet, NONE, RouteId, Search};
use crate::request::RequestMatch;
use regex_automata::{
    Anchored, MatchKind,
    dfa::{Automaton, StartKind, dense},
    nfa::thompson::{self, WhichCaptures},
    util::start,
};
use regex_syntax::hir::{Hir, Look};

/// Regexes joined into one automaton. One run over a path finds all that match.
#[derive(Debug)]
pub(super) struct RegexSet {
    /// The lowest route and the methods of all entries.
    pub(super) lowest: RouteId,
    pub(super) methods: MethodSet,
    dfa: Box<dense::DFA<Vec<u32>>>,
    /// By number of the pattern; in the order of routes.
    entries: Vec<Entry>,
}

impl RegexSet {
    pub(super) fn search(&self, search: &mut Search<'_>) {
        let start = start::Config::new().anchored(Anchored::Yes);
        let Ok(mut state) = self.dfa.start_state(&start) else {
            // No pattern looks behind the start of the path, so there is a start state.
            return;
        };
        for byte in search.path.bytes() {
            state = self.dfa.next_state(state, byte);
            if self.dfa.is_special_state(state) && self.dfa.is_dead_state(state) {
                return;
            }
        }
        state = self.dfa.next_eoi_state(state);
        if !self.dfa.is_match_state(state) {
            return;
        }
        for i in 0..self.dfa.match_len(state) {
            let entry = self.entries[self.dfa.match_pattern(state, i).as_usize()];
            if entry.methods.meets(search.methods) {
                search.best = search.best.min(entry.route);
            }
        }
    }
}

/// Joins the regexes of one profile into sets, within one limit of memory.
pub(super) struct SetBuilder {
    bytes_left: usize,
}

impl SetBuilder {
    /// Largest memory of all sets of a profile.
    const BYTES: usize = 32 << 20;
    /// Largest memory of one set. Beyond a processor's nearest caches, several smaller sets are as
    /// fast.
    const ONE_SET_BYTES: usize = 1 << 20;
    /// Largest number of patterns in one attempt.
    const PATTERNS: usize = 256;

    pub(super) fn new() -> Self {
        Self {
            bytes_left: Self::BYTES,
        }
    }

    /// Divides `entries` into sets and single conditions.
    pub(super) fn join(
        &mut self,
        entries: Vec<Entry>,
        conditions: &[RequestMatch],
    ) -> (Vec<RegexSet>, Vec<Entry>) {
        let (mut joined, mut alone) = (Vec::new(), Vec::new());
        for entry in entries {
            // The condition itself distinguishes methods that share a bit.
            let is_exact = entry.methods != MethodSet::bit(MethodSet::OTHER_BIT);
            let regex = only_regex(&conditions[entry.route as usize]);
            match regex.filter(|_| is_exact) {
                Some(source) => joined.push((entry, source)),
                None => alone.push(entry),
            }
        }
        let mut sets = Vec::new();
        for some in joined.chunks(Self::PATTERNS) {
            self.join_some(some, &mut sets, &mut alone);
        }
        alone.sort_by_key(|entry| entry.route);
        (sets, alone)
    }

    /// Builds one set if it stays small, else two sets of half the size.
    fn join_some(
        &mut self,
        some: &[(Entry, &str)],
        sets: &mut Vec<RegexSet>,
        alone: &mut Vec<Entry>,
    ) {
        if some.len() < 2 {
            alone.extend(some.iter().map(|(entry, _)| *entry));
        } else if let Some(set) = self.build(some) {
            sets.push(set);
        } else {
            let (front, back) = some.split_at(some.len() / 2);
            self.join_some(front, sets, alone);
            self.join_some(back, sets, alone);
        }
    }

    fn build(&mut self, some: &[(Entry, &str)]) -> Option<RegexSet> {
        let patterns = some.iter().map(|(_, source)| {
            let hir = regex_syntax::parse(source).ok()?;
            Some(Hir::concat(vec![hir, Hir::look(Look::End)]))
        });
        let patterns: Vec<_> = patterns.collect::<Option<_>>()?;
        let nfa = thompson::Compiler::new()
            .configure(thompson::Config::new().which_captures(WhichCaptures::None))
            .build_many_from_hir(&patterns)
            .ok()?;
        let limit = Self::ONE_SET_BYTES.min(self.bytes_left);
        let dfa = dense::Builder::new()
            .configure(
                dense::Config::new()
                    .start_kind(StartKind::Anchored)
                    .match_kind(MatchKind::All)
                    .dfa_size_limit(Some(limit))
                    .determinize_size_limit(Some(4 * limit)),
            )
            .build_from_nfa(&nfa)
            .ok()?;
        self.bytes_left = self.bytes_left.saturating_sub(dfa.memory_usage());
        let entries: Vec<_> = some.iter().map(|(entry, _)| *entry).collect();
        Some(RegexSet {
            lowest: entries.iter().map(|e| e.route).min().unwrap_or(NONE),
            methods: entries
                .iter()
                .fold(MethodSet::NONE, |set, entry| set.union(entry.methods)),
            dfa: Box::new(dfa),
            entries,
        })
    }
}

/// Returns the regex of a condition that has only a regex and perhaps a method.
fn only_regex(condition: &RequestMatch) -> Option<&str> {
    let regex = match condition {
        RequestMatch::Path(regex) => regex,
        RequestMatch::All(all) => match all.as_slice() {
            [RequestMatch::Method(_), RequestMatch::Path(regex)]
            | [RequestMatch::Path(regex), RequestMatch::Method(_)] => regex,
            _ => return None,
        },
        _ => return None,
    };
    regex.is_dfa().then(|| regex.as_str())
}
