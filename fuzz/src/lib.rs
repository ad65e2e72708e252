//! The meaning of a profile, plain and slow, to compare the compiled lookup with.

use http::Method;
use mesh_profile::{Profile, RequestMatchSpec};
use regex::Regex;
use std::collections::HashMap;

/// The regexes of a profile, as another engine understands them.
#[derive(Debug, Default)]
pub struct Slow(HashMap<String, Regex>);

impl Slow {
    /// Returns true if `condition` holds for a request; `None` if a regex is too large for this
    /// engine.
    pub fn holds(
        &mut self,
        condition: &RequestMatchSpec,
        method: &Method,
        path: &str,
    ) -> Option<bool> {
        let mut holds = true;
        for one in condition.all.iter().flatten() {
            holds &= self.holds(one, method, path)?;
        }
        if let Some(any) = &condition.any {
            let mut some = false;
            for one in any {
                some |= self.holds(one, method, path)?;
            }
            holds &= some;
        }
        if let Some(not) = &condition.not {
            holds &= !self.holds(not, method, path)?;
        }
        if let Some(is) = &condition.method {
            holds &= method.as_str() == is;
        }
        if let Some(pattern) = &condition.path_regex {
            holds &= self.regex(pattern.trim())?.is_match(path);
        }
        Some(holds)
    }

    fn regex(&mut self, pattern: &str) -> Option<&Regex> {
        if !self.0.contains_key(pattern) {
            // A pattern that does not compile as a group ends in a comment, `(?x)a # b`; the line
            // break ends it.
            let regex = Regex::new(&format!("^(?:{pattern})$"))
                .or_else(|_| Regex::new(&format!("^(?:{pattern}\n)$")));
            self.0.insert(pattern.to_owned(), regex.ok()?);
        }
        self.0.get(pattern)
    }
}

/// Panics unless the compiled lookup, its reasons and the slow meaning agree on a request.
pub fn check(profile: &Profile, slow: &mut Slow, method: &Method, path: &str) {
    let mut expected = None;
    for (i, route) in profile.declared().routes().iter().enumerate() {
        match slow.holds(route.condition(), method, path) {
            Some(false) => {}
            Some(true) => {
                expected = Some(i);
                break;
            }
            None => return,
        }
    }
    assert_eq!(
        profile.position(method, path),
        expected,
        "{method} {path:?}"
    );
    assert_eq!(profile.explain(method, path).position, expected);
}
