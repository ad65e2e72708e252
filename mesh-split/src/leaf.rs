use crate::{counter::Turns, weights};
use std::{collections::HashSet, error::Error, fmt, sync::Arc};

/// A service taking a share of the calls.
///
/// A tuple of a service and its weight converts into one; so does a name before them.
#[derive(Clone, Debug)]
pub struct Leaf<S> {
    service: S,
    weight: u32,
    id: Option<u64>,
}

impl<S> Leaf<S> {
    /// A leaf whose share is `weight` relative to the sum of all.
    pub fn new(service: S, weight: u32) -> Self {
        Self {
            service,
            weight,
            id: None,
        }
    }

    /// Names the leaf, so that its sticky subjects know it again when the list around it changes.
    ///
    /// Without a name a leaf is known by its position.
    #[must_use]
    pub fn named(mut self, name: impl AsRef<str>) -> Self {
        self.id = Some(weights::subject(name.as_ref()));
        self
    }
}

impl<S> From<(S, u32)> for Leaf<S> {
    fn from((service, weight): (S, u32)) -> Self {
        Self::new(service, weight)
    }
}

impl<S, N: AsRef<str>> From<(N, S, u32)> for Leaf<S> {
    fn from((name, service, weight): (N, S, u32)) -> Self {
        Self::new(service, weight).named(name)
    }
}

/// Every leaf has weight zero, or there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoLeaves;

impl fmt::Display for NoLeaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no leaf has a weight above zero")
    }
}

impl Error for NoLeaves {}

/// A leaf's identity and weight: what decides a choice, and all that does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    pub(crate) id: u64,
    pub(crate) weight: u32,
}

/// Leaves and the order of their turns: immutable, replaced as a whole.
#[derive(Debug)]
pub(crate) struct Table<S> {
    services: Box<[S]>,
    shares: Box<[Share]>,
    sequence: Box<[u32]>,
    turns: Arc<Turns>,
}

impl<S> Table<S> {
    /// Drops leaves without weight; `turns` returns the turns of the rest.
    pub(crate) fn build<L: Into<Leaf<S>>>(
        leaves: impl IntoIterator<Item = L>,
        turns: impl FnOnce(&[Share]) -> Arc<Turns>,
    ) -> Result<Self, NoLeaves> {
        let mut ids = HashSet::new();
        let mut services = Vec::new();
        let mut shares = Vec::new();
        for (position, leaf) in leaves.into_iter().map(Into::into).enumerate() {
            let mut id = leaf
                .id
                .unwrap_or_else(|| weights::subject((position as u64).to_le_bytes()));
            // Equal names would draw equal lots, and the second never win.
            while !ids.insert(id) {
                id = weights::mix(id);
            }
            if leaf.weight > 0 {
                services.push(leaf.service);
                shares.push(Share {
                    id,
                    weight: leaf.weight,
                });
            }
        }
        if services.is_empty() {
            return Err(NoLeaves);
        }
        let sequence = weights::sequence(&shares.iter().map(|s| s.weight).collect::<Vec<_>>());
        Ok(Self {
            turns: turns(&shares),
            services: services.into(),
            shares: shares.into(),
            sequence,
        })
    }

    /// The number of the leaf whose turn it is, or of the one that `subject` belongs to.
    pub(crate) fn choose(&self, subject: Option<u64>, usable: Option<fn(&S) -> bool>) -> usize {
        if self.services.len() == 1 {
            return 0;
        }
        let drawn = match subject {
            Some(subject) => weights::rendezvous(subject, &self.shares, |_| true),
            None => Some(self.turns.turn(&self.sequence)),
        }
        .expect("a table has leaves");
        match usable {
            Some(usable) if !usable(&self.services[drawn]) => {
                let instead = self.instead(subject, |leaf| usable(&self.services[leaf]));
                instead.unwrap_or(drawn)
            }
            _ => drawn,
        }
    }

    /// The service of the leaf of this number.
    pub(crate) fn service(&self, leaf: usize) -> &S {
        &self.services[leaf]
    }

    fn instead(&self, subject: Option<u64>, usable: impl Fn(usize) -> bool) -> Option<usize> {
        match subject {
            Some(subject) => weights::rendezvous(subject, &self.shares, usable),
            None => weights::spread(self.turns.spill(), &self.shares, usable),
        }
    }
}
