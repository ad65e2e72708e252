//! From an ordered list of conditions to one compiled lookup.
//!
//! The answer is always that of trying the conditions in order. What makes it fast: a condition
//! is taken apart into [terms](terms), and a term that is a method and a template goes into one
//! trie over path segments, at the end of which stands the lowest number of a route. What is not
//! (a real regex, a `not`) hangs in the same trie where its leading segments end, and is
//! evaluated only for requests that get there, and only while its number is below the best so
//! far. Regexes that hang at one place are joined into one automaton, which runs once for all. Every node knows the lowest number and the methods below it, so that a walk skips what
//! cannot win. A walk allocates nothing.

mod build;
mod literals;
mod set;
pub(crate) mod template;
mod terms;

use self::literals::Literals;
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
    literals: Literals,
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
    id: NodeId,
    /// The lowest route at or below this node.
    lowest: RouteId,
    /// The methods of the routes at or below this node.
    methods: MethodSet,
    /// Children by segment: the empty one, `[^/]*` and `[^/]+`; others are in `literals`.
    empty: NodeId,
    any: [NodeId; 2],
    has_literals: bool,
    /// Whether there are neither sets nor hard routes.
    is_easy: bool,
    mixed: Span,
    /// Routes of the paths that end here, by route.
    ends: Span,
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
    path: &'a str,
    conditions: &'a [RequestMatch],
    best: RouteId,
}

impl Search<'_> {
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
        let mut search = Search {
            method,
            methods: self.method_set(method),
            path,
            conditions,
            best: NONE,
        };
        self.walk(&self.nodes[0], path, &mut search);
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

    /// `rest` is what follows the segments that led to `node`. Each node is visited once at most;
    /// the recursion is as deep as the longest template.
    fn walk(&self, node: &Node, rest: &str, search: &mut Search<'_>) {
        for (tail, entry) in &self.tails[node.tails.range()] {
            if entry.route >= search.best {
                break;
            }
            if entry.methods.meets(search.methods) && tail.is_match(rest) {
                search.best = entry.route;
            }
        }

        // Literals first: they are likely to have the lower numbers, and spare us the others.
        let (segment, rest) = template::split(rest);
        if segment.is_empty() {
            self.child(node.empty, rest, search);
        } else {
            if node.has_literals {
                let child = self.literals.get(node.id, segment);
                self.child(child, rest, search);
            }
            self.child(node.any[1], rest, search);
        }
        self.child(node.any[0], rest, search);
        for (mixed, child) in &self.mixed[node.mixed.range()] {
            let node = &self.nodes[*child as usize];
            if search.wants(node.lowest, node.methods) && mixed.is_match(segment) {
                self.child(*child, rest, search);
            }
        }

        if node.is_easy {
            return;
        }
        for set in &self.sets[node.sets.range()] {
            if search.wants(set.lowest, set.methods) {
                set.search(search);
            }
        }
        for entry in &self.hard[node.hard.range()] {
            if entry.route >= search.best {
                break;
            }
            if entry.methods.meets(search.methods)
                && search.conditions[entry.route as usize].is_match(search.method, search.path)
            {
                search.best = entry.route;
            }
        }
    }

    fn child(&self, child: NodeId, rest: Option<&str>, search: &mut Search<'_>) {
        if child == NONE {
            return;
        }
        let node = &self.nodes[child as usize];
        if !search.wants(node.lowest, node.methods) {
            return;
        }
        match rest {
            Some(rest) => self.walk(node, rest, search),
            None => {
                let mut ends = self.ends[node.ends.range()].iter();
                if let Some(end) = ends.find(|end| end.methods.meets(search.methods)) {
                    search.best = search.best.min(end.route);
                }
            }
        }
    }
}
