use std::{fmt, str::FromStr};

/// The weight of a destination override: a Kubernetes quantity, to the thousandth.
///
/// Reads `1`, `900m`, `0.5`, `1k`, `1e3` and `1Ki`, as text or as a number; writes the shortest
/// of whole numbers and thousandths. A finer quantity is rounded up, as Kubernetes does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u64);

impl Weight {
    /// `milli` thousandths.
    pub fn from_milli(milli: u64) -> Self {
        Self(milli)
    }

    /// In thousandths.
    pub fn milli(self) -> u64 {
        self.0
    }

    /// In ten-thousandths, the unit of the destination API; 10000 is a weight of 1.
    pub fn per_ten_thousand(self) -> u32 {
        u32::try_from(self.0.saturating_mul(10)).unwrap_or(u32::MAX)
    }

    /// From ten-thousandths, the unit of the destination API.
    pub fn from_per_ten_thousand(weight: u32) -> Self {
        Self(u64::from(weight.div_ceil(10)))
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 1000 {
            0 => write!(f, "{}", self.0 / 1000),
            _ => write!(f, "{}m", self.0),
        }
    }
}

impl FromStr for Weight {
    type Err = InvalidWeight;

    fn from_str(text: &str) -> Result<Self, InvalidWeight> {
        milli(text)
            .map(Self)
            .ok_or_else(|| InvalidWeight(text.into()))
    }
}

/// A text that is no quantity, or a negative or enormous one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidWeight(String);

impl fmt::Display for InvalidWeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid weight {:?} (write a number that is not negative, like 9 or 900m)",
            self.0
        )
    }
}

impl std::error::Error for InvalidWeight {}

/// The value of a quantity in thousandths, rounded up.
fn milli(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    // 15 digits and an exponent of 18 stay far below 2^128.
    if whole.len() + fraction.len() == 0 || number.len() > 15 || fraction.contains('.') {
        return None;
    }
    let digits = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let (binary, ten) = multiplier(suffix)?;
    let value = digits.checked_mul(u128::from(binary))?;

    let exponent = 3 + ten - i32::try_from(fraction.len()).ok()?;
    let scale = 10_u128.checked_pow(exponent.unsigned_abs())?;
    let milli = if exponent < 0 {
        value.div_ceil(scale)
    } else {
        value.checked_mul(scale)?
    };
    u64::try_from(milli).ok()
}

/// A suffix as a factor and a power of ten.
fn multiplier(suffix: &str) -> Option<(u64, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        _ => {
            let exponent = suffix.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            ((-30..=18).contains(&exponent)).then_some((1, exponent))?
        }
    })
}

#[cfg(feature = "serde")]
mod data {
    use super::Weight;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use std::fmt;

    impl Serialize for Weight {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self)
        }
    }

    impl<'de> Deserialize<'de> for Weight {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(WeightVisitor)
        }
    }

    struct WeightVisitor;

    impl de::Visitor<'_> for WeightVisitor {
        type Value = Weight;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a weight like 9 or 900m")
        }

        fn visit_u64<E: de::Error>(self, whole: u64) -> Result<Weight, E> {
            self.visit_str(&whole.to_string())
        }

        fn visit_i64<E: de::Error>(self, whole: i64) -> Result<Weight, E> {
            self.visit_str(&whole.to_string())
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<Weight, E> {
            self.visit_str(&number.to_string())
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Weight, E> {
            text.parse().map_err(E::custom)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_to_the_thousandth() {
        for (text, milli) in [
            ("0", 0),
            ("1", 1000),
            ("900m", 900),
            ("0.5", 500),
            (".5", 500),
            ("1k", 1_000_000),
            ("1e2", 100_000),
            ("15E-1", 1500),
            ("1Ki", 1_024_000),
            ("1u", 1),
            ("1.0001", 1001),
            ("1000m", 1000),
        ] {
            assert_eq!(
                text.parse::<Weight>().map(Weight::milli),
                Ok(milli),
                "{text}"
            );
        }
        for text in [
            "", ".", "m", "-1", "1.2.3", "1kk", "1e99", "99E", "abc", "1 m",
        ] {
            assert!(text.parse::<Weight>().is_err(), "{text}");
        }
    }

    #[test]
    fn weights_go_over_the_wire_in_ten_thousandths() {
        assert_eq!(Weight::from_milli(1000).per_ten_thousand(), 10_000);
        assert_eq!("100m".parse::<Weight>().unwrap().per_ten_thousand(), 1000);
        assert_eq!(Weight::from_per_ten_thousand(9000).to_string(), "900m");
        assert_eq!(Weight::from_milli(2000).to_string(), "2");
    }
}
