use std::sync::OnceLock;

/// A small map that only grows, up to `N` keys, and is read and filled without a lock.
///
/// Keys are found by scanning, so the first ones seen, which are the common ones, are the
/// cheapest.
#[derive(Debug)]
pub(super) struct Slots<K, V, const N: usize>([OnceLock<(K, V)>; N]);

impl<K: Copy + PartialEq, V: Default, const N: usize> Slots<K, V, N> {
    /// The value of `key`, made if there is room; `None` when there is none.
    pub(super) fn get(&self, key: K) -> Option<&V> {
        for slot in &self.0 {
            let (taken, value) = slot.get_or_init(|| (key, V::default()));
            if *taken == key {
                return Some(value);
            }
        }
        None
    }

    /// Every key so far.
    pub(super) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.0
            .iter()
            .map_while(OnceLock::get)
            .map(|(key, value)| (*key, value))
    }
}

impl<K, V, const N: usize> Default for Slots<K, V, N> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; N])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_their_value_until_there_is_no_room_for_more() {
        let slots = Slots::<u8, std::cell::Cell<u32>, 2>::default();
        slots.get(7).unwrap().set(70);
        slots.get(8).unwrap().set(80);
        assert!(slots.get(9).is_none());
        let all: Vec<_> = slots
            .iter()
            .map(|(key, value)| (key, value.get()))
            .collect();
        assert_eq!(all, [(7, 70), (8, 80)]);
    }
}
