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

/// The input and the result of a walk through the trie.
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

    /// Looks at the routes of the paths that go on from `node` with the segment that begins at
    /// `from`. Each node is visited once at most; the recursion is as deep as the longest template.
    fn walk(&self, mut node: NodeId, mut from: usize, search: &mut Search<'_>) {
        let path = search.path.as_bytes();
        loop {
            let next = self.nodes[node as usize].next;
            if let Next::Branches(at) = next {
                return self.branch(node, &self.branches[at as usize], from, search);
            }
            let Some((child, to)) = self.step(node, next, path, from) else {
                return;
            };
            if !self.arrive(child, to, search) {
                return;
            }
            (node, from) = (child, to + 1);
        }
    }

    /// The one way to go by the segment that begins at `from`, and where that ends.
    fn step(&self, node: NodeId, next: Next, path: &[u8], from: usize) -> Option<(NodeId, usize)> {
        match next {
            Next::One(text, child) => {
                let to = segments::end_of(&self.text[text.range()], path, from)?;
                Some((child, to))
            }
            Next::Any(child, min) => {
                let to = segments::end(path, from);
                (to - from >= min).then_some((child, to))
            }
            Next::Many => {
                let to = segments::end(path, from);
                Some((self.literals.get(node, &path[from..to])?, to))
            }
            Next::Nowhere | Next::Branches(_) => None,
        }
    }

    /// Returns true if a walk continues from `child`, after a segment that ends at `to`. If the
    /// segment is the last, the terms that end at `child` are added.
    fn arrive(&self, child: NodeId, to: usize, search: &mut Search<'_>) -> bool {
        let node = &self.nodes[child as usize];
        if !search.wants(node.lowest, node.methods) {
            return false;
        }
        if to < search.path.len() {
            return true;
        }
        let mut ends = self.ends[node.ends.range()].iter();
        if let Some(end) = ends.find(|end| end.methods.meets(search.methods)) {
            search.best = search.best.min(end.route);
        }
        false
    }

    fn branch(&self, node: NodeId, branches: &Branches, from: usize, search: &mut Search<'_>) {
        let path = search.path;
        self.tails(branches.tails, &path[from..], search);

        // Literals first: they are likely to have the lower numbers, and spare us the others.
        if let Some((child, to)) = self.step(node, branches.literals, path.as_bytes(), from) {
            self.enter(child, to, search);
        }
        let to = segments::end(path.as_bytes(), from);
        let segment = &path[from..to];
        let [any, some] = branches.any;
        if some != NONE && !segment.is_empty() {
            self.enter(some, to, search);
        }
        if any != NONE {
            self.enter(any, to, search);
        }
        for (mixed, child) in &self.mixed[branches.mixed.range()] {
            let node = &self.nodes[*child as usize];
            if search.wants(node.lowest, node.methods) && mixed.is_match(segment) {
                self.enter(*child, to, search);
            }
        }
        for set in &self.sets[branches.sets.range()] {
            if search.wants(set.lowest, set.methods) {
                set.search(search);
            }
        }
        self.hard(branches.hard, search);
    }

    /// Goes on from `child`, to which a segment led that ends at `to`.
    fn enter(&self, child: NodeId, to: usize, search: &mut Search<'_>) {
        if self.arrive(child, to, search) {
            self.walk(child, to + 1, search);
        }
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
            if entry.methods.meets(search.methods) && condition.is_match(search.method, search.path)
            {
                search.best = entry.route;
            }
        }
    }
}
