//! From an ordered list of conditions to one compiled lookup.
//!
//! The answer is always that of trying the conditions in order. What makes it fast: a condition
//! is taken apart into [terms](terms), and a term that is a method and a template goes into one
//! trie over path segments, at the end of which stands the lowest number of a route. What is not
//! (a real regex, a `not`) hangs in the same trie where its leading segments end, and is
//! evaluated only for requests that get there, and only while its number is below the best so
//! far. Regexes that hang at one place are joined into one automaton, which runs once for all.
//! Every node knows the lowest number and the methods below it, so that a walk skips what cannot
//! win. A walk allocates nothing.

mod build;
mod literals;
mod segments;
mod set;
pub(crate) mod template;
mod terms;

use self::literals::Literals;
use self::segments::Segments;
use self::set::RegexSet;
use self::template::{Mixed, Tail};
use crate::request::RequestMatch;
use http::Method;
use std::ops::Range;

/// The compiled lookup of one profile.
#[derive(Debug)]
pub(crate) struct Matcher {
    /// Those that conditions name beside the standard ones.
    extension_methods: Vec<Method>,
    nodes: Vec<Node>,
    branches: Vec<Branches>,
    literals: Literals,
    text: Vec<u8>,
    mixed: Vec<(Mixed, NodeId)>,
    ends: Vec<Entry>,
    tails: Vec<(Tail, Entry)>,
    sets: Vec<RegexSet>,
    hard: Vec<Entry>,
}

type NodeId = u32;
type RouteId = u32;

/// No child, or no route yet.
const NONE: u32 = u32::MAX;

/// One place in the trie: the paths that begin with certain segments. It fits a cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
struct Node {
    /// The methods of the routes at or below this node.
    methods: MethodSet,
    /// The lowest route at or below this node.
    lowest: RouteId,
    /// Routes of the paths that end here, by route.
    ends: Span,
    next: Next,
}

/// The ways on from a node, by segment. Most nodes have but one kind.
#[derive(Clone, Copy, Debug)]
enum Next {
    Nowhere,
    /// A literal, which is this part of the matcher's text: to compare is cheaper than to hash.
    One(Span, NodeId),
    /// Literals in the matcher's table.
    Many,
    /// A wildcard, and its least length.
    Any(NodeId, usize),
    /// More than one of these, or what none of them is.
    Branches(u32),
}

/// All that may hang at a node.
#[derive(Clone, Copy, Debug)]
struct Branches {
    /// None, one or many.
    literals: Next,
    /// `[^/]*` and `[^/]+`.
    any: [NodeId; 2],
    mixed: Span,
    /// Routes of the paths that go on from here in any way, by route.
    tails: Span,
    /// Regexes to be tried together on the paths that go on from here.
    sets: Span,
    /// Routes to be tried one by one on the paths that go on from here, by route.
    hard: Span,
}

/// A part of one of the matcher's lists.
#[derive(Clone, Copy, Debug)]
struct Span(u32, u32);

impl Span {
    fn range(self) -> Range<usize> {
        self.0 as usize..self.1 as usize
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    route: RouteId,
    methods: MethodSet,
}

/// A set of methods, a bit each; the last bit stands for all that are not told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MethodSet(u64);

impl MethodSet {
    const ALL: Self = Self(u64::MAX);
    const NONE: Self = Self(0);
    const STANDARD: [Method; 9] = [
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
        Method::CONNECT,
    ];
    const OTHER_BIT: usize = 63;

    fn bit(bit: usize) -> Self {
        Self(1 << bit.min(Self::OTHER_BIT))
    }

    fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What a walk looks for, and what it has found.
struct Search<'a> {
    method: &'a Method,
    methods: MethodSet,
    segments: Segments<'a>,
    conditions: &'a [RequestMatch],
    best: RouteId,
}

impl<'a> Search<'a> {
    fn segment(&self, number: usize) -> &'a [u8] {
        let (from, to) = self.segments.bounds(number);
        &self.segments.path().as_bytes()[from..to]
    }

    fn wants(&self, lowest: RouteId, methods: MethodSet) -> bool {
        lowest < self.best && methods.meets(self.methods)
    }
}

impl Matcher {
    /// The number of the first of `conditions` that holds. They must be those it was built from.
    pub(crate) fn lookup(
        &self,
        conditions: &[RequestMatch],
        method: &Method,
        path: &str,
    ) -> Option<usize> {
        let Some(segments) = Segments::new(path) else {
            return conditions.iter().position(|c| c.is_match(method, path));
        };
        let mut search = Search {
            method,
            methods: self.method_set(method),
            segments,
            conditions,
            best: NONE,
        };
        self.walk(0, 0, &mut search);
        (search.best != NONE).then_some(search.best as usize)
    }

    fn method_set(&self, method: &Method) -> MethodSet {
        let bit = match *method {
            Method::GET => 0,
            Method::POST => 1,
            Method::PUT => 2,
            Method::DELETE => 3,
            Method::HEAD => 4,
            Method::OPTIONS => 5,
            Method::PATCH => 6,
            Method::TRACE => 7,
            Method::CONNECT => 8,
            _ => self
                .extension_methods
                .iter()
                .position(|m| m == method)
                .map_or(MethodSet::OTHER_BIT, |i| MethodSet::STANDARD.len() + i),
        };
        MethodSet::bit(bit)
    }

    /// Looks at the routes of the paths that go on from `node` with segment `number`. Each node is
    /// visited once at most; the recursion is as deep as the longest template.
    fn walk(&self, mut node: NodeId, mut number: usize, search: &mut Search<'_>) {
        loop {
            let child = match self.nodes[node as usize].next {
                Next::Nowhere => return,
                Next::Any(child, 0) => child,
                Next::Branches(at) => {
                    return self.branch(node, &self.branches[at as usize], number, search);
                }
                next => self.step(node, next, search.segment(number)),
            };
            if !self.arrive(child, number, search) {
                return;
            }
            (node, number) = (child, number + 1);
        }
    }

    /// The one way to go by `segment`.
    fn step(&self, node: NodeId, next: Next, segment: &[u8]) -> NodeId {
        match next {
            Next::One(text, child) if self.text[text.range()] == *segment => child,
            Next::Any(child, min) if segment.len() >= min => child,
            Next::Many => self.literals.get(node, segment),
            _ => NONE,
        }
    }

    /// Whether a walk goes on from `child`, to which segment `number` led. If that was the last,
    /// what ends there counts.
    fn arrive(&self, child: NodeId, number: usize, search: &mut Search<'_>) -> bool {
        let Some(node) = self.nodes.get(child as usize) else {
            return false;
        };
        if !search.wants(node.lowest, node.methods) {
            return false;
        }
        if !search.segments.is_last(number) {
            return true;
        }
        let mut ends = self.ends[node.ends.range()].iter();
        if let Some(end) = ends.find(|end| end.methods.meets(search.methods)) {
            search.best = search.best.min(end.route);
        }
        false
    }

    fn branch(&self, node: NodeId, branches: &Branches, number: usize, search: &mut Search<'_>) {
        let (from, to) = search.segments.bounds(number);
        let path = search.segments.path();
        self.tails(branches.tails, &path[from..], search);

        // Literals first: they are likely to have the lower numbers, and spare us the others.
        let segment = &path[from..to];
        let literal = self.step(node, branches.literals, segment.as_bytes());
        let [any, some] = branches.any;
        for child in [literal, if segment.is_empty() { NONE } else { some }, any] {
            if self.arrive(child, number, search) {
                self.walk(child, number + 1, search);
            }
        }
        for (mixed, child) in &self.mixed[branches.mixed.range()] {
            let node = &self.nodes[*child as usize];
            if search.wants(node.lowest, node.methods)
                && mixed.is_match(segment)
                && self.arrive(*child, number, search)
            {
                self.walk(*child, number + 1, search);
            }
        }
        for set in &self.sets[branches.sets.range()] {
            if search.wants(set.lowest, set.methods) {
                set.search(search);
            }
        }
        self.hard(branches.hard, search);
    }

    fn tails(&self, tails: Span, rest: &str, search: &mut Search<'_>) {
        for (tail, entry) in &self.tails[tails.range()] {
            if entry.route >= search.best {
                break;
            }
            if entry.methods.meets(search.methods) && tail.is_match(rest) {
                search.best = entry.route;
            }
        }
    }

    fn hard(&self, hard: Span, search: &mut Search<'_>) {
        for entry in &self.hard[hard.range()] {
            if entry.route >= search.best {
                break;
            }
            let condition = &search.conditions[entry.route as usize];
            if entry.methods.meets(search.methods)
                && condition.is_match(search.method, search.segments.path())
            {
                search.best = entry.route;
            }
        }
    }
}
