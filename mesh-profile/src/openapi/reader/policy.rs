//! Linkerd's extensions of operations and paths.

use super::{boolean, skip};
use crate::openapi::{
    diagnostic::Diagnostics,
    document::{Key, Policy, Scalar},
    object::ScalarSeed,
};
use serde::de::MapAccess;

impl<'t> Policy<'t> {
    /// Takes the member if it is one of ours.
    pub(super) fn member<A: MapAccess<'t>>(
        &mut self,
        key: &Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<bool, A::Error> {
        if !key
            .text
            .get(..10)
            .is_some_and(|start| start.eq_ignore_ascii_case("x-linkerd-"))
        {
            return Ok(false);
        }
        match &*key.text {
            "x-linkerd-retryable" => self.retryable = boolean(key, map, diagnostics)?,
            "x-linkerd-timeout" => match map.next_value_seed(ScalarSeed(diagnostics))? {
                Scalar::Text(timeout) => self.timeout = Some((key.place, timeout)),
                _ => diagnostics.warn(
                    key.place,
                    format!(
                        "`{}` is not a duration like 300ms and was left out",
                        key.text
                    ),
                ),
            },
            other => {
                let meant = mesh_yaml::did_you_mean(&other[10..], &["retryable", "timeout"]);
                let meant = meant.map_or(String::new(), |m| {
                    format!(", did you mean `x-linkerd-{m}`?")
                });
                diagnostics.warn(
                    key.place,
                    format!("unknown extension `{}`{meant}", key.text),
                );
                skip(map, diagnostics)?;
            }
        }
        Ok(true)
    }
}
