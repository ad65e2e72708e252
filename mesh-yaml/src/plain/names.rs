/// The names in the maps that are open, innermost last: a hash each, as two names with one hash
/// only mean that the document is read in the other way, which looks at the names themselves.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<u64>);

impl Names {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, name: &str) {
        self.0.push(hash(name.as_bytes()));
    }

    /// Forgets the names from `begin` on, and says whether each was another.
    pub(super) fn all_distinct_since(&mut self, begin: usize) -> bool {
        let Some(names) = self.0.get_mut(begin..) else {
            return false;
        };
        names.sort_unstable();
        let distinct = names.windows(2).all(|pair| pair[0] != pair[1]);
        self.0.truncate(begin);
        distinct
    }
}

/// Hashes eight bytes at a time. Names made to collide only slow down their own document, which is
/// then read by `serde-saphyr`.
fn hash(bytes: &[u8]) -> u64 {
    let mix =
        |hash: u64, part: u64| (hash.rotate_left(23) ^ part).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let (words, rest) = bytes.as_chunks();
    let hash = words.iter().fold(bytes.len() as u64, |hash, word| {
        mix(hash, u64::from_le_bytes(*word))
    });
    let rest = rest
        .iter()
        .fold(0, |part, byte| part << 8 | u64::from(*byte));
    let hash = mix(hash, rest);
    hash ^ hash >> 29
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_in_its_own_map_only() {
        let mut names = Names::default();
        names.push("name");
        let inner = names.len();
        names.push("name");
        names.push("names");
        names.push("");
        assert!(names.all_distinct_since(inner));
        names.push("type");
        names.push("nam");
        assert!(names.all_distinct_since(0));
        assert_eq!(names.len(), 0);
    }

    #[test]
    fn a_name_twice_in_a_map_is_found_wherever_it_stands() {
        for first in 0..40 {
            for second in 0..first {
                let mut names = Names::default();
                for i in 0..40 {
                    names.push(&format!(
                        "component-{}",
                        if i == first { second } else { i }
                    ));
                }
                assert!(!names.all_distinct_since(0), "{first}, {second}");
            }
        }
    }
}
