use crate::{matcher::template::Segment, pattern::PathRegex};
use regex_automata::{
    Anchored,
    dfa::{Automaton, StartKind, dense},
    util::{primitives::StateID, start},
};
use regex_syntax::hir::{Hir, Look};
use std::collections::HashSet;

/// The paths that a regex matches, as far as a request can have them.
pub(super) struct Language<'a> {
    regex: &'a PathRegex,
    dfa: Option<dense::DFA<Vec<u32>>>,
    /// One byte for each class that the automaton tells apart, if a path can have any of it.
    bytes: Vec<u8>,
}

/// The relation between the paths of two regexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Relation {
    /// Some path is of both.
    pub(super) both: bool,
    /// Some path is of the first alone.
    pub(super) only_first: bool,
    /// Some path is of the second alone.
    pub(super) only_second: bool,
}

impl<'a> Language<'a> {
    /// The most that one automaton takes; a larger one is not examined.
    const DFA_BYTES: usize = 256 << 10;
    /// The most pairs of states that are visited for one answer.
    const PAIRS: usize = 20_000;

    pub(super) fn new(regex: &'a PathRegex) -> Self {
        let dfa = build(regex.as_str());
        let bytes = dfa.iter().flat_map(representatives).collect();
        Self { regex, dfa, bytes }
    }

    /// Returns true if no path can match; `None` if the answer is too costly.
    pub(super) fn is_empty(&self) -> Option<bool> {
        let relation = self.relation(self)?;
        Some(!relation.both)
    }

    /// `None` if it is too hard to tell.
    pub(super) fn relation(&self, other: &Self) -> Option<Relation> {
        let mut relation = Relation::default();
        if are_apart(self.regex, other.regex) {
            return Some(Relation {
                both: false,
                only_first: true,
                only_second: true,
            });
        }
        let (first, second) = (self.dfa.as_ref()?, other.dfa.as_ref()?);
        let bytes: HashSet<u8> = self.bytes.iter().chain(&other.bytes).copied().collect();

        // Every path begins with a slash.
        let begin = |dfa: &dense::DFA<Vec<u32>>| {
            let start = start::Config::new().anchored(Anchored::Yes);
            dfa.start_state(&start)
                .map(|state| dfa.next_state(state, b'/'))
        };
        let pair = (begin(first).ok()?, begin(second).ok()?);
        let mut seen = HashSet::from([pair]);
        let mut open = vec![pair];
        while let Some((a, b)) = open.pop() {
            let accepts = |dfa: &dense::DFA<Vec<u32>>, state: StateID| {
                dfa.is_match_state(dfa.next_eoi_state(state))
            };
            match (accepts(first, a), accepts(second, b)) {
                (true, true) => relation.both = true,
                (true, false) => relation.only_first = true,
                (false, true) => relation.only_second = true,
                (false, false) => {}
            }
            if relation.both && relation.only_first && relation.only_second {
                break;
            }
            for byte in &bytes {
                let next = (first.next_state(a, *byte), second.next_state(b, *byte));
                let is_dead = first.is_dead_state(next.0) && second.is_dead_state(next.1);
                if !is_dead && seen.insert(next) {
                    open.push(next);
                }
            }
            if seen.len() > Self::PAIRS {
                return None;
            }
        }
        Some(relation)
    }
}

fn build(source: &str) -> Option<dense::DFA<Vec<u32>>> {
    let hir = regex_syntax::parse(source).ok()?;
    let whole = Hir::concat(vec![hir, Hir::look(Look::End)]);
    let nfa = regex_automata::nfa::thompson::Compiler::new()
        .build_from_hir(&whole)
        .ok()?;
    dense::Builder::new()
        .configure(
            dense::Config::new()
                .start_kind(StartKind::Anchored)
                .dfa_size_limit(Some(Language::DFA_BYTES))
                .determinize_size_limit(Some(4 * Language::DFA_BYTES)),
        )
        .build_from_nfa(&nfa)
        .ok()
}

/// Bytes below the printable ones and `?` and `#` end a path or are refused before it is one.
fn representatives(dfa: &dense::DFA<Vec<u32>>) -> Vec<u8> {
    let mut classes = HashSet::new();
    (b'!'..=0xff)
        .filter(|byte| !matches!(byte, b'?' | b'#' | 0x7f))
        .filter(|byte| classes.insert(dfa.byte_classes().get(*byte)))
        .collect()
}

/// Returns true if the leading segments alone exclude common paths: the quick answer for most
/// pairs.
fn are_apart(a: &PathRegex, b: &PathRegex) -> bool {
    let differ = |(a, b): (&Segment, &Segment)| matches!((a, b), (Segment::Literal(a), Segment::Literal(b)) if a != b);
    match (a.template(), b.template()) {
        (Some(a), Some(b)) if a.tail.is_none() && b.tail.is_none() => {
            a.segments.len() != b.segments.len() || a.segments.iter().zip(&b.segments).any(differ)
        }
        _ => a.prefix().iter().zip(b.prefix()).any(differ),
    }
}
