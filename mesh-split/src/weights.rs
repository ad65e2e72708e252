//! Chooses the next leaf, in pure functions of weights.

use crate::leaf::Share;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Longest table of turns, so the finest share is one in ten thousand. It takes at most 40 KB
/// and about 1 ms to build.
///
/// More leaves than this have one turn each.
pub const MAX_SEQUENCE: usize = 10_000;

/// The order of turns: in every prefix of n turns, the leaf of weight w out of W has had more
/// than nw/W - 1 and fewer than nw/W + 1 of them. Repeating the sequence keeps that true.
///
/// Leaf i's j-th turn must fall into the window from floor((j-1)W/w) to ceil(jW/w). Windows are
/// filled earliest deadline first, which finds an order if there is one; there is, as the shares
/// add up to exactly one turn per turn (proportionate fairness, Baruah et al. 1996).
pub(crate) fn sequence(weights: &[u32]) -> Box<[u32]> {
    let weights = reduce(weights);
    let total: u64 = weights.iter().sum();
    let window = |leaf: u32, turn: u64| {
        let weight = weights[leaf as usize];
        ((turn - 1) * total / weight, (turn * total).div_ceil(weight))
    };

    let mut open = BinaryHeap::new(); // deadline, leaf, turn
    let mut waiting = BinaryHeap::new(); // opening, leaf, turn
    waiting.extend((0..weights.len() as u32).map(|leaf| Reverse((0, leaf, 1))));
    (0..total)
        .map(|now| {
            while let Some(&Reverse((opening, leaf, turn))) = waiting.peek()
                && opening <= now
            {
                waiting.pop();
                open.push(Reverse((window(leaf, turn).1, leaf, turn)));
            }
            let Reverse((_, leaf, turn)) = open.pop().expect("shares add up to one");
            waiting.push(Reverse((window(leaf, turn + 1).0, leaf, turn + 1)));
            leaf
        })
        .collect()
}

/// The same ratios in the smallest numbers, rounded if their sum is above [`MAX_SEQUENCE`].
fn reduce(weights: &[u32]) -> Vec<u64> {
    let mut weights: Vec<u64> = weights.iter().map(|&weight| weight.into()).collect();
    if weights.iter().sum::<u64>() / divisor(&weights) > MAX_SEQUENCE as u64 {
        weights = round(&weights, MAX_SEQUENCE.max(weights.len()) as u64);
    }
    let divisor = divisor(&weights);
    weights.iter_mut().for_each(|weight| *weight /= divisor);
    weights
}

fn divisor(weights: &[u64]) -> u64 {
    fn gcd(a: u64, b: u64) -> u64 {
        if b == 0 { a } else { gcd(b, a % b) }
    }
    weights.iter().copied().fold(0, gcd)
}

/// `parts` parts by largest remainder, with at least one for each.
fn round(weights: &[u64], parts: u64) -> Vec<u64> {
    let total: u64 = weights.iter().sum();
    let mut rounded: Vec<u64> = weights
        .iter()
        .map(|weight| (weight * parts / total).max(1))
        .collect();
    let remainder = |leaf: usize| weights[leaf] * parts % total;
    let mut order: Vec<usize> = (0..weights.len()).collect();
    order.sort_by_key(|&leaf| Reverse(remainder(leaf)));
    let mut sum: u64 = rounded.iter().sum();
    for &leaf in &order {
        if sum >= parts {
            break;
        }
        rounded[leaf] += 1;
        sum += 1;
    }
    // Parts given to leaves too small for one come from the largest, who miss them least.
    while sum > parts {
        let largest = rounded.iter_mut().max().expect("weights are not empty");
        let surplus = (sum - parts).min(*largest / 2).max(1);
        *largest -= surplus;
        sum -= surplus;
    }
    rounded
}

/// A usable leaf by weight, for the n-th call that needs another than the one drawn.
///
/// Multiples of the golden ratio fall evenly into shares of any size, for any number of calls,
/// and need no table for every set of leaves that may be out at a time.
pub(crate) fn spread(n: u64, shares: &[Share], usable: impl Fn(usize) -> bool) -> Option<usize> {
    let usable: Vec<usize> = (0..shares.len()).filter(|&leaf| usable(leaf)).collect();
    let weight = |leaf: usize| u64::from(shares[leaf].weight);
    let total: u64 = usable.iter().map(|&leaf| weight(leaf)).sum();
    let point = u128::from(n.wrapping_mul(GOLDEN)) * u128::from(total);
    let mut rest = (point >> 64) as u64;
    usable.into_iter().find(|&leaf| {
        let found = rest < weight(leaf);
        rest = rest.saturating_sub(weight(leaf));
        found
    })
}

/// The usable leaf that draws the best lot for `subject`: weighted rendezvous hashing.
///
/// A lot depends on subject, leaf and that leaf's weight alone and grows with the weight, so a
/// change of one weight can change the winner only to or from that leaf.
pub(crate) fn rendezvous(
    subject: u64,
    shares: &[Share],
    usable: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mut best = None;
    for (leaf, share) in shares.iter().enumerate() {
        // In (0, 1): 53 bits, and never 0 or 1, whose logarithms are of no use here.
        let lot = ((mix(subject ^ share.id) >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let lot = f64::from(share.weight) / -lot.ln();
        if best.is_none_or(|(_, other)| lot > other) && usable(leaf) {
            best = Some((leaf, lot));
        }
    }
    best.map(|(leaf, _)| leaf)
}

/// 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number for whatever sticks to a leaf: a user, a session, a header's value.
///
/// It is the same in every process and release, unlike what `std::hash` gives.
pub fn subject(key: impl AsRef<[u8]>) -> u64 {
    // FNV-1a; its weak high bits do not matter under `mix`.
    let fnv = key
        .as_ref()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
    mix(fnv)
}

/// Spreads every bit of `x` over all (the finalizer of SplitMix64).
pub(crate) fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(GOLDEN);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shares(weights: &[u32]) -> Vec<Share> {
        let share = |(leaf, &weight): (usize, &u32)| Share {
            id: subject(leaf.to_le_bytes()),
            weight,
        };
        weights.iter().enumerate().map(share).collect()
    }

    fn counts(leaves: usize, turns: impl Iterator<Item = usize>) -> Vec<u64> {
        turns.fold(vec![0; leaves], |mut counts, leaf| {
            counts[leaf] += 1;
            counts
        })
    }

    #[test]
    fn turns_of_small_weights_are_spread_out() {
        assert_eq!(*sequence(&[1]), [0]);
        assert_eq!(*sequence(&[7, 7]), [0, 1]);
        assert_eq!(*sequence(&[3, 1]), [0, 0, 0, 1]);
        assert_eq!(*sequence(&[3, 2]), [0, 1, 0, 0, 1]);
        assert_eq!(*sequence(&[50, 25, 25]), [0, 1, 0, 2]);
    }

    #[test]
    fn a_table_is_bounded_and_leaves_nobody_out() {
        for weights in [
            vec![u32::MAX, 1],
            vec![u32::MAX, u32::MAX - 1, 1, 1],
            vec![9_999, 10_000, 10_001],
            (1..=2_000).collect(),
            vec![1_000_003; 3],
        ] {
            let sequence = sequence(&weights);
            assert!(sequence.len() <= MAX_SEQUENCE, "{}", sequence.len());
            let counts = counts(weights.len(), sequence.iter().map(|&leaf| leaf as usize));
            assert!(counts.iter().all(|&count| count > 0));
        }
        assert_eq!(sequence(&vec![2; 20_000]).len(), 20_000);
    }

    #[test]
    fn rounding_errs_by_less_than_one_part_where_all_are_large() {
        let weights = [333_333u32, 333_334, 600_001];
        let total: u64 = weights.iter().map(|&w| u64::from(w)).sum();
        let rounded = reduce(&weights);
        let parts: u64 = rounded.iter().sum();
        for (weight, rounded) in weights.iter().zip(&rounded) {
            let exact = f64::from(*weight) / total as f64;
            let error = (*rounded as f64 / parts as f64 - exact).abs();
            assert!(error < 1.0 / MAX_SEQUENCE as f64, "{rounded:?}");
        }
    }

    proptest! {
        #[test]
        fn every_prefix_is_within_one_of_every_share(
            weights in prop::collection::vec(1u32..60, 1..12),
            beyond in 0usize..3,
        ) {
            let sequence = sequence(&weights);
            let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
            let mut counts = vec![0.0; weights.len()];
            for n in 0..sequence.len() * (1 + beyond) {
                counts[sequence[n % sequence.len()] as usize] += 1.0;
                for (leaf, &weight) in weights.iter().enumerate() {
                    let share = (n + 1) as f64 * f64::from(weight) / total;
                    let error: f64 = counts[leaf] - share;
                    prop_assert!(error.abs() < 1.0, "leaf {leaf} after {n}: {error}");
                }
            }
        }

        #[test]
        fn changing_one_weight_moves_subjects_only_to_or_from_its_leaf(
            weights in prop::collection::vec(1u32..1_000, 2..8),
            changed in any::<prop::sample::Index>(),
            weight in 1u32..1_000,
            subjects in prop::collection::vec(any::<u64>(), 100),
        ) {
            let changed = changed.index(weights.len());
            let before = shares(&weights);
            let mut after = before.clone();
            after[changed].weight = weight;
            for subject in subjects {
                let from = rendezvous(subject, &before, |_| true).unwrap();
                let to = rendezvous(subject, &after, |_| true).unwrap();
                prop_assert!(from == to || from == changed || to == changed);
            }
        }

        #[test]
        fn a_leaf_that_is_out_moves_only_its_own_subjects(
            weights in prop::collection::vec(1u32..1_000, 2..8),
            out in any::<prop::sample::Index>(),
            subjects in prop::collection::vec(any::<u64>(), 100),
        ) {
            let out = out.index(weights.len());
            let shares = shares(&weights);
            for subject in subjects {
                let all = rendezvous(subject, &shares, |_| true).unwrap();
                let rest = rendezvous(subject, &shares, |leaf| leaf != out).unwrap();
                prop_assert!(rest != out);
                prop_assert!(all == rest || all == out);
            }
        }
    }

    #[test]
    fn subjects_are_shared_out_by_weight() {
        let shares = shares(&[70, 20, 10]);
        let chosen = (0..100_000u64)
            .map(|user| rendezvous(subject(user.to_le_bytes()), &shares, |_| true).unwrap());
        let counts = counts(3, chosen);
        for (count, expected) in counts.iter().zip([70_000.0f64, 20_000.0, 10_000.0]) {
            assert!((*count as f64 - expected).abs() < 500.0, "{counts:?}");
        }
    }

    #[test]
    fn the_share_of_a_leaf_that_is_out_goes_to_the_others_by_weight() {
        let shares = shares(&[500, 300, 100, 100]);
        for calls in [10, 100, 1_000] {
            let chosen = (0..calls).map(|n| spread(n, &shares, |leaf| leaf != 0).unwrap());
            let counts = counts(4, chosen);
            for (count, share) in counts.iter().zip([0.0, 0.6, 0.2, 0.2]) {
                let error = *count as f64 - calls as f64 * share;
                assert!(error.abs() < 3.0, "{counts:?}");
            }
        }
        assert_eq!(spread(7, &shares, |_| false), None);
    }

    #[test]
    fn subjects_are_the_same_in_every_release() {
        assert_eq!(subject("ada"), 0x5b1b_2855_ac89_22ba);
    }
}
