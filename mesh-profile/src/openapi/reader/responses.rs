//! Responses: which statuses there are, and which of them are failures.

use super::{boolean, is_extension, reference, skip};
use crate::openapi::{
    diagnostic::Diagnostics,
    document::{Failures, Key, Response},
    object::{Members, Object},
};
use serde::de::MapAccess;

impl<'t> Members<'t> for Failures<'t> {
    const WHAT: &'static str = "`responses`";

    /// `convert` refuses references to two responses of one name that differ.
    fn has_effect(_: &str) -> bool {
        false
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        let response = Object::<Response<'_>>::new(key.place, diagnostics);
        let response = map.next_value_seed(response)?.unwrap_or_default();
        self.0.push((key.text, response.failure));
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct Responses<'t>(pub(super) Vec<(Key<'t>, Response<'t>)>);

impl<'t> Members<'t> for Responses<'t> {
    const WHAT: &'static str = "`responses`";

    /// `convert` refuses two responses of one status that differ.
    fn has_effect(_: &str) -> bool {
        false
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        if is_extension(&key) || key.text == "default" {
            return skip(map, diagnostics);
        }
        let response = map.next_value_seed(Object::new(key.place, diagnostics))?;
        // The status counts even if what is said of it is broken.
        self.0.push((key, response.unwrap_or_default()));
        Ok(())
    }
}

impl<'t> Members<'t> for Response<'t> {
    const WHAT: &'static str = "the response";

    fn has_effect(key: &str) -> bool {
        key == "$ref" || key.eq_ignore_ascii_case("x-linkerd-failure")
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        if key.text == "$ref" {
            self.reference = reference(&key, map, diagnostics)?;
        } else if key.text.eq_ignore_ascii_case("x-linkerd-failure") {
            self.failure = boolean(&key, map, diagnostics)?;
        } else {
            skip(map, diagnostics)?;
        }
        Ok(())
    }
}
