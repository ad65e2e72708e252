use super::{Connect, backends::Backends};
use crate::{Destination, RouteRule};
use http::Request;
use mesh_profile::{Profile, RequestMatchSpec, TypedProfile, TypedRoute};
use mesh_split::{Leaf, ResponseFuture, SharedCounter, Split, SplitHandle};
use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tower_service::Service;

/// Sends each request to a backend, by the first rule whose condition it meets.
///
/// A request that meets no condition follows the last rule. Before the first rules are known,
/// requests wait in the balancer for an endpoint.
pub struct Rules<B> {
    shared: Arc<Shared<B>>,
    version: u64,
    table: Table<B>,
}

/// The rules in force; a clone takes its turns from the same sequences. That of a single rule is
/// cheap: a request that may be sent again takes a clone along.
struct Table<B> {
    first: Split<B>,
    more: Option<Box<More<B>>>,
}

/// The rules where the first does not take every request.
struct More<B> {
    /// Finds a rule by its place.
    matcher: Profile,
    rest: Vec<Split<B>>,
}

struct Shared<B> {
    version: AtomicU64,
    table: Mutex<Table<B>>,
}

impl<B> Rules<B> {
    /// One rule, which sends every request to `first`.
    pub(super) fn new(
        first: B,
        counter: &SharedCounter,
        is_available: fn(&B) -> bool,
    ) -> (Self, RulesHandle<B>) {
        let split = Split::with_counter(counter, [(first, 1)]).expect("one leaf has a weight");
        let split = split.available_if(is_available);
        let table = Table {
            first: split,
            more: None,
        };
        let shared = Arc::new(Shared {
            version: AtomicU64::new(0),
            table: Mutex::new(table.clone()),
        });
        let handle = RulesHandle {
            splits: vec![table.first.handle()],
            conditions: vec![None],
            shared: shared.clone(),
            counter: counter.clone(),
            is_available,
        };
        let rules = Self {
            shared,
            version: 0,
            table,
        };
        (rules, handle)
    }

    fn refresh(&mut self) {
        let table = self.shared.table.lock();
        let table = table.unwrap_or_else(PoisonError::into_inner);
        self.version = self.shared.version.load(Ordering::Acquire);
        self.table = table.clone();
    }
}

impl<B, R> Service<Request<R>> for Rules<B>
where
    B: Service<Request<R>> + Clone,
{
    type Response = B::Response;
    type Error = B::Error;
    type Future = ResponseFuture<B, Request<R>>;

    /// Always ready: the choice needs the request.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), B::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, req: Request<R>) -> Self::Future {
        if self.shared.version.load(Ordering::Acquire) != self.version {
            self.refresh();
        }
        match &mut self.table.more {
            None => self.table.first.call(req),
            Some(more) => {
                let place = more.matcher.position(req.method(), req.uri().path());
                let last = more.rest.len();
                match place.unwrap_or(last).checked_sub(1) {
                    None => self.table.first.call(req),
                    Some(place) => more.rest[place].call(req),
                }
            }
        }
    }
}

impl<B> Clone for Table<B> {
    fn clone(&self) -> Self {
        Self {
            first: self.first.clone(),
            more: self.more.clone(),
        }
    }
}

impl<B> Clone for More<B> {
    fn clone(&self) -> Self {
        Self {
            matcher: self.matcher.clone(),
            rest: self.rest.clone(),
        }
    }
}

impl<B> Clone for Rules<B> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            version: self.version,
            table: self.table.clone(),
        }
    }
}

impl<B> fmt::Debug for Rules<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules").finish_non_exhaustive()
    }
}

/// Replaces the rules of a [`Rules`] and all its clones while they run.
pub(super) struct RulesHandle<B> {
    splits: Vec<SplitHandle<B>>,
    conditions: Vec<Option<RequestMatchSpec>>,
    shared: Arc<Shared<B>>,
    counter: SharedCounter,
    is_available: fn(&B) -> bool,
}

impl<B: Clone> RulesHandle<B> {
    /// Makes the rules those of `destination`. Returns false, and changes nothing, if none of them
    /// gives a backend anything.
    pub(super) fn apply<C>(&mut self, destination: &Destination, backends: &Backends<C>) -> bool
    where
        C: Connect<Backend = B>,
    {
        let leaves = |rule: &RouteRule| -> Vec<Leaf<B>> {
            let shares = rule.shares().iter().filter(|share| share.weight() > 0);
            let leaves = shares.filter_map(|share| {
                let service = backends.service(share.backend())?.clone();
                Some(Leaf::new(service, share.weight()).named(share.backend()))
            });
            leaves.collect()
        };
        let rules = destination.rules().iter();
        let mut rules: Vec<_> = rules
            .map(|rule| (rule.condition(), leaves(rule)))
            .filter(|(_, leaves)| !leaves.is_empty())
            .collect();
        // No request reaches a rule behind one that takes everything.
        if let Some(all) = rules.iter().position(|(condition, _)| condition.is_none()) {
            rules.truncate(all + 1);
        }
        if rules.is_empty() {
            return false;
        }

        let conditions: Vec<_> = rules.iter().map(|(it, _)| it.cloned()).collect();
        let is_same = conditions == self.conditions;
        let mut splits = Vec::new();
        for (number, (_, leaves)) in rules.into_iter().enumerate() {
            match self.splits.get(number).filter(|_| is_same) {
                Some(handle) => handle.set(leaves).expect("there are leaves with weights"),
                None => {
                    let split = Split::with_counter(&self.counter, leaves);
                    let split = split.expect("there are leaves with weights");
                    splits.push(split.available_if(self.is_available));
                }
            }
        }
        if !is_same {
            self.splits = splits.iter().map(Split::handle).collect();
            let first = splits.remove(0);
            self.replace(destination, &conditions, first, splits);
            self.conditions = conditions;
        }
        true
    }

    fn replace(
        &self,
        destination: &Destination,
        conditions: &[Option<RequestMatchSpec>],
        first: Split<B>,
        rest: Vec<Split<B>>,
    ) {
        let more = matches!(conditions, [Some(_), ..]).then(|| {
            let matcher = matcher(destination.authority(), conditions);
            Box::new(More { matcher, rest })
        });
        let mut table = self.shared.table.lock();
        let table = table
            .as_deref_mut()
            .unwrap_or_else(|poisoned| poisoned.get_mut());
        let old = std::mem::replace(table, Table { first, more });
        self.shared.version.fetch_add(1, Ordering::Release);
        drop(old);
    }
}

/// Finds the place of the first condition that holds. One that cannot be compiled never holds: to
/// leave out a part of it would make the rule take more.
fn matcher(authority: &str, conditions: &[Option<RequestMatchSpec>]) -> Profile {
    let all = RequestMatchSpec {
        all: Some(Vec::new()),
        ..RequestMatchSpec::default()
    };
    let never = RequestMatchSpec {
        any: Some(Vec::new()),
        ..RequestMatchSpec::default()
    };
    let routes = conditions.iter().enumerate().map(|(number, condition)| {
        let condition = condition.as_ref().unwrap_or(&all);
        let route = |condition: &RequestMatchSpec| {
            TypedRoute::new(format!("rule {number}"), condition.clone())
        };
        let alone = TypedProfile::new([route(condition)]);
        match Profile::try_from(alone) {
            Ok(_) => route(condition),
            Err(problem) => {
                tracing::warn!(authority, %problem, "a rule is ignored");
                route(&never)
            }
        }
    });
    Profile::compile_typed(TypedProfile::new(routes)).0
}
