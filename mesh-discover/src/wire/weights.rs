//! Weights of one distribution: Linkerd's proxy needs a sum between 1 and 2^31-1.

/// The weight of a service that shares with nobody: one, in ten-thousandths.
pub(super) const WHOLE: u32 = 10_000;

/// The largest sum that the wire may carry.
const MOST: u128 = i32::MAX as u128;

/// Weights in thousandths as the wire has them: in ten-thousandths, or scaled down together where
/// their sum would be too large. `None` if nobody gets anything.
///
/// Ratios stay, but for rounding; a weight above zero stays above zero.
pub(super) fn to_wire(milli: &[u64]) -> Option<Vec<u32>> {
    let all = milli.iter().map(|weight| u128::from(*weight) * 10);
    let total: u128 = all.clone().sum();
    if total == 0 {
        return None;
    }
    // Rounding up adds less than one for each weight.
    let room = MOST.saturating_sub(milli.len() as u128).max(1);
    let scaled = all.map(|weight| match total <= MOST {
        true => weight,
        false => (weight * room).div_ceil(total),
    });
    let narrow = scaled.map(|weight| u32::try_from(weight).unwrap_or(u32::MAX));
    Some(narrow.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn common_weights_are_ten_thousandths() {
        assert_eq!(to_wire(&[9_000, 900, 0]), Some(vec![90_000, 9_000, 0]));
        assert_eq!(to_wire(&[0, 0]), None);
        assert_eq!(to_wire(&[]), None);
    }

    proptest! {
        #[test]
        fn a_distribution_fits_the_wire_and_keeps_its_ratios(
            milli in prop::collection::vec(prop_oneof![0..100_000u64, any::<u64>()], 1..100),
        ) {
            let Some(wire) = to_wire(&milli) else {
                prop_assert!(milli.iter().all(|weight| *weight == 0));
                return Ok(());
            };
            let sum: u128 = wire.iter().map(|weight| u128::from(*weight)).sum();
            prop_assert!((1..=MOST).contains(&sum), "{sum}");
            let total: u128 = milli.iter().map(|weight| u128::from(*weight)).sum();
            for (milli, wire) in milli.iter().zip(&wire) {
                prop_assert_eq!(*milli > 0, *wire > 0);
                let share = *milli as f64 / total as f64;
                let sent = f64::from(*wire) / sum as f64;
                prop_assert!((share - sent).abs() < 1e-6, "{share} {sent}");
            }
        }
    }
}
