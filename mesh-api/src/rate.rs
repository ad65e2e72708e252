use serde::{Deserialize, Serialize, Serializer};

/// Latency percentiles in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Latency {
    /// Half of the responses took at most this long.
    pub latency_ms_p50: Option<u64>,
    /// 95 % of the responses took at most this long.
    pub latency_ms_p95: Option<u64>,
    /// 99 % of the responses took at most this long.
    pub latency_ms_p99: Option<u64>,
}

/// Success and rate of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Rate {
    /// Share of successes, between 0 and 1.
    #[serde(serialize_with = "short")]
    pub success: Option<f64>,
    /// Responses a second.
    #[serde(serialize_with = "short")]
    pub rps: Option<f64>,
}

/// Writes a [`Rate`] under names of its own.
macro_rules! rate_as {
    ($module:ident, $success:literal, $rps:literal) => {
        pub(crate) mod $module {
            use super::Rate;
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            #[derive(Serialize, Deserialize)]
            #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
            pub(crate) struct Named {
                #[serde(rename = $success, serialize_with = "super::short")]
                success: Option<f64>,
                #[serde(rename = $rps, serialize_with = "super::short")]
                rps: Option<f64>,
            }

            pub(crate) fn serialize<S: Serializer>(rate: &Rate, to: S) -> Result<S::Ok, S::Error> {
                let &Rate { success, rps } = rate;
                Named { success, rps }.serialize(to)
            }

            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
                from: D,
            ) -> Result<Rate, D::Error> {
                let Named { success, rps } = Named::deserialize(from)?;
                Ok(Rate { success, rps })
            }
        }
    };
}

rate_as!(effective, "effective_success", "effective_rps");
rate_as!(actual, "actual_success", "actual_rps");

/// Writes a whole number without decimals, as other producers of this format do.
#[allow(clippy::ref_option, reason = "the signature is serde's")]
pub(crate) fn short<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
    match value {
        None => to.serialize_none(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e15 => {
            to.serialize_i64(*value as i64)
        }
        Some(value) => to.serialize_f64(*value),
    }
}
