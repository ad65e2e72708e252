use super::{
    Branches, Entry, Matcher, MethodSet, NONE, Next, Node, NodeId, RouteId, Span,
    literals::Literals,
    set,
    template::{Mixed, Segment, Tail, Template},
    terms::{self, Term},
};
use crate::request::RequestMatch;
use http::Method;
use std::collections::HashMap;

impl Matcher {
    /// Compiles `conditions`, whose order decides.
    pub(crate) fn new(conditions: &[RequestMatch]) -> Self {
        let mut trie = Trie::default();
        for (route, condition) in conditions.iter().enumerate() {
            for term in terms::of(condition) {
                trie.insert(route as RouteId, &term);
            }
        }
        trie.compile(conditions)
    }
}

/// The trie while it grows.
#[derive(Debug)]
struct Trie {
    extension_methods: Vec<Method>,
    nodes: Vec<Growing>,
}

#[derive(Debug, Default)]
struct Growing {
    literals: HashMap<Box<str>, usize>,
    any: [Option<usize>; 2],
    mixed: Vec<(Mixed, usize)>,
    ends: Vec<Entry>,
    tails: Vec<(Tail, Entry)>,
    hard: Vec<Entry>,
}

impl Default for Trie {
    fn default() -> Self {
        Self {
            extension_methods: Vec::new(),
            nodes: vec![Growing::default()],
        }
    }
}

impl Trie {
    fn insert(&mut self, route: RouteId, term: &Term<'_>) {
        let entry = Entry {
            route,
            methods: term.method.map_or(MethodSet::ALL, |m| self.method_set(m)),
        };
        // Methods beyond the bits share the last one, where only the condition can tell.
        let shared = entry.methods == MethodSet::bit(MethodSet::OTHER_BIT);
        let anywhere = Template {
            segments: Vec::new(),
            tail: Some(Tail {
                literal: "".into(),
                newline: true,
            }),
        };
        if term.hard || shared {
            let node = self.node(term.prefix);
            insert(&mut self.nodes[node].hard, entry);
            return;
        }
        let template = term.template.unwrap_or(&anywhere);
        let node = self.node(&template.segments);
        match &template.tail {
            Some(tail) => self.nodes[node].tails.push((tail.clone(), entry)),
            None => insert(&mut self.nodes[node].ends, entry),
        }
    }

    fn method_set(&mut self, method: &Method) -> MethodSet {
        if let Some(bit) = MethodSet::STANDARD.iter().position(|m| m == method) {
            return MethodSet::bit(bit);
        }
        let first = MethodSet::STANDARD.len();
        if let Some(i) = self.extension_methods.iter().position(|m| m == method) {
            return MethodSet::bit(first + i);
        }
        if first + self.extension_methods.len() < MethodSet::OTHER_BIT {
            self.extension_methods.push(method.clone());
            return MethodSet::bit(first + self.extension_methods.len() - 1);
        }
        MethodSet::bit(MethodSet::OTHER_BIT)
    }

    fn node(&mut self, segments: &[Segment]) -> usize {
        segments
            .iter()
            .fold(0, |node, segment| self.step(node, segment))
    }

    fn step(&mut self, node: usize, segment: &Segment) -> usize {
        let new = self.nodes.len();
        let from = &mut self.nodes[node];
        let child = match segment {
            Segment::Literal(literal) => *from.literals.entry(literal.clone()).or_insert(new),
            Segment::Any { min } => *from.any[*min].get_or_insert(new),
            Segment::Mixed(mixed) => match from.mixed.iter().find(|(m, _)| m == mixed) {
                Some((_, child)) => *child,
                None => {
                    from.mixed.push((mixed.clone(), new));
                    new
                }
            },
        };
        if child == new {
            self.nodes.push(Growing::default());
        }
        child
    }

    /// Lays the lists of all nodes end to end. A child has a higher number than its parent, so
    /// what is known of it is complete when the parent's turn comes, from the back.
    fn compile(self, conditions: &[RequestMatch]) -> Matcher {
        let mut matcher = Matcher {
            extension_methods: self.extension_methods,
            nodes: Vec::with_capacity(self.nodes.len()),
            branches: Vec::new(),
            literals: Literals::new([].into_iter()),
            text: Vec::new(),
            mixed: Vec::new(),
            ends: Vec::new(),
            tails: Vec::new(),
            sets: Vec::new(),
            hard: Vec::new(),
        };
        let mut joining = set::SetBuilder::new();
        let mut parents = vec![NONE; self.nodes.len()];
        let mut many = Vec::new();
        for (id, mut growing) in self.nodes.into_iter().enumerate() {
            growing.tails.sort_by_key(|(_, entry)| entry.route);
            for child in growing.children() {
                parents[child] = id as NodeId;
            }
            let entries = || growing.entries();
            let lowest = entries().map(|e| e.route).min().unwrap_or(NONE);
            let methods = entries().fold(MethodSet::NONE, |set, e| set.union(e.methods));
            let literals: Vec<_> = (growing.literals.into_iter())
                .map(|(text, child)| (text, child as NodeId))
                .collect();
            let named = match literals.as_slice() {
                [] => Next::Nowhere,
                [(text, child)] => Next::One(append(&mut matcher.text, text.bytes()), *child),
                _ => Next::Many,
            };
            if literals.len() > 1 {
                let of_node = |(text, child)| (id as NodeId, text, child);
                many.extend(literals.into_iter().map(of_node));
            }
            let any = growing.any.map(|child| child.map(|child| child as NodeId));
            let is_plain =
                growing.mixed.is_empty() && growing.tails.is_empty() && growing.hard.is_empty();
            let next = match (is_plain, named, any) {
                (true, named, [None, None]) => named,
                (true, Next::Nowhere, [Some(any), None]) => Next::Any(any, 0),
                (true, Next::Nowhere, [None, Some(any)]) => Next::Any(any, 1),
                _ => {
                    let (sets, hard) = joining.join(growing.hard, conditions);
                    let mixed = growing.mixed.into_iter().map(|(m, c)| (m, c as NodeId));
                    matcher.branches.push(Branches {
                        literals: named,
                        any: any.map(|child| child.unwrap_or(NONE)),
                        mixed: append(&mut matcher.mixed, mixed),
                        tails: append(&mut matcher.tails, growing.tails),
                        sets: append(&mut matcher.sets, sets),
                        hard: append(&mut matcher.hard, hard),
                    });
                    Next::Branches(matcher.branches.len() as u32 - 1)
                }
            };
            let node = Node {
                methods,
                lowest,
                ends: append(&mut matcher.ends, growing.ends),
                next,
            };
            matcher.nodes.push(node);
        }
        matcher.literals = Literals::new(
            many.iter()
                .map(|(parent, text, child): &(_, Box<str>, _)| (*parent, &**text, *child)),
        );
        matcher.raise(&parents);
        matcher
    }
}

impl Growing {
    fn children(&self) -> impl Iterator<Item = usize> {
        let mixed = self.mixed.iter().map(|(_, child)| child);
        let any = self.any.iter().flatten();
        self.literals.values().chain(any).chain(mixed).copied()
    }

    fn entries(&self) -> impl Iterator<Item = Entry> {
        let tails = self.tails.iter().map(|(_, entry)| entry);
        self.ends.iter().chain(&self.hard).chain(tails).copied()
    }
}

impl Matcher {
    /// Tells every node what is below it.
    fn raise(&mut self, parents: &[NodeId]) {
        for id in (1..self.nodes.len()).rev() {
            let Node {
                lowest, methods, ..
            } = self.nodes[id];
            let parent = &mut self.nodes[parents[id] as usize];
            parent.lowest = parent.lowest.min(lowest);
            parent.methods = parent.methods.union(methods);
        }
    }
}

/// Routes come in order, so the list stays sorted; equal entries come one after the other.
fn insert(list: &mut Vec<Entry>, entry: Entry) {
    if list.last() != Some(&entry) {
        list.push(entry);
    }
}

fn append<T>(all: &mut Vec<T>, some: impl IntoIterator<Item = T>) -> Span {
    let start = all.len() as u32;
    all.extend(some);
    Span(start, all.len() as u32)
}
