use std::{array, sync::OnceLock};

/// A small map that only grows, up to `N` keys, and is read and filled without a lock.
///
/// Keys are found by scanning, so the first ones seen, which are the common ones, are the
/// cheapest; most maps never need room for more than those.
#[derive(Debug)]
pub(super) struct Slots<K, V, const N: usize> {
    first: [Slot<K, V>; FIRST],
    rest: OnceLock<Box<[Slot<K, V>]>>,
}

type Slot<K, V> = OnceLock<(K, V)>;

const FIRST: usize = 4;

impl<K: Copy + PartialEq, V: Default, const N: usize> Slots<K, V, N> {
    /// The value of `key`, made if there is room; `None` when there is none.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        let new = || (key, V::default());
        let of_key = |slot| {
            let (taken, value) = Slot::get_or_init(slot, new);
            (*taken == key).then_some(value)
        };
        self.first.iter().find_map(of_key).or_else(|| {
            let more = || (FIRST..N).map(|_| Slot::new()).collect();
            self.rest.get_or_init(more).iter().find_map(of_key)
        })
    }

    /// Every key so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        let rest = self.rest.get().into_iter().flatten();
        let all = self.first.iter().chain(rest);
        all.map_while(Slot::get).map(|(key, value)| (*key, value))
    }
}

impl<K, V, const N: usize> Default for Slots<K, V, N> {
    fn default() -> Self {
        Self {
            first: array::from_fn(|_| Slot::new()),
            rest: OnceLock::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn keys_keep_their_value_until_there_is_no_room_for_more() {
        let slots = Slots::<u32, Cell<u32>, 9>::default();
        for key in 0..9 {
            slots.get(key).unwrap().set(10 * key);
        }
        assert!(slots.get(9).is_none());
        let all: Vec<_> = slots
            .iter()
            .map(|(key, value)| (key, value.get()))
            .collect();
        let expected: Vec<_> = (0..9).map(|key| (key, 10 * key)).collect();
        assert_eq!(all, expected);
    }
}
