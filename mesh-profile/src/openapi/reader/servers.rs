//! Servers: what stands before every path.

use super::skip;
use crate::openapi::{
    diagnostic::Diagnostics,
    document::{Key, Server},
    object::{FirstOf, Members, Object, ScalarSeed},
};
use serde::de::MapAccess;
use std::borrow::Cow;

/// The first of a list of them.
pub(super) fn server<'t, A: MapAccess<'t>>(
    key: &Key<'t>,
    map: &mut A,
    diagnostics: &Diagnostics<'t>,
) -> Result<Option<Server<'t>>, A::Error> {
    map.next_value_seed(FirstOf(Object::new(key.place, diagnostics)))
}

impl<'t> Members<'t> for Server<'t> {
    const WHAT: &'static str = "the server";

    fn has_effect(key: &str) -> bool {
        ["url", "variables"].contains(&key)
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        match &*key.text {
            "url" => {
                self.place = key.place;
                self.url = map.next_value_seed(ScalarSeed(diagnostics))?.into_text();
            }
            "variables" => {
                let variables = Object::<Variables<'_>>::new(key.place, diagnostics);
                let variables = map.next_value_seed(variables)?;
                self.variables = variables.unwrap_or_default().0;
            }
            _ => skip(map, diagnostics)?,
        }
        Ok(())
    }
}

#[derive(Default)]
struct Variables<'t>(Vec<(Cow<'t, str>, Cow<'t, str>)>);

impl<'t> Members<'t> for Variables<'t> {
    const WHAT: &'static str = "`variables`";

    fn has_effect(_: &str) -> bool {
        true
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        let variable = Object::<Variable<'_>>::new(key.place, diagnostics);
        let default = map.next_value_seed(variable)?.and_then(|v| v.default);
        self.0.extend(default.map(|default| (key.text, default)));
        Ok(())
    }
}

#[derive(Default)]
struct Variable<'t> {
    default: Option<Cow<'t, str>>,
}

impl<'t> Members<'t> for Variable<'t> {
    const WHAT: &'static str = "the variable";

    fn has_effect(key: &str) -> bool {
        key == "default"
    }

    fn member<A: MapAccess<'t>>(
        &mut self,
        key: Key<'t>,
        map: &mut A,
        diagnostics: &Diagnostics<'t>,
    ) -> Result<(), A::Error> {
        match &*key.text {
            "default" => self.default = map.next_value_seed(ScalarSeed(diagnostics))?.into_text(),
            _ => skip(map, diagnostics)?,
        }
        Ok(())
    }
}
