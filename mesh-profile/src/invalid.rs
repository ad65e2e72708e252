use std::{fmt, fmt::Write as _};

/// A profile that cannot be used, with route, field and reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidProfile {
    route: Option<(usize, String)>,
    flaw: Flaw,
}

impl InvalidProfile {
    pub(crate) fn new(route: Option<(usize, &str)>, flaw: Flaw) -> Self {
        Self {
            route: route.map(|(index, name)| (index, name.to_owned())),
            flaw,
        }
    }

    /// Returns the name of the route that is invalid, if one route is.
    pub fn route(&self) -> Option<&str> {
        self.route.as_ref().map(|(_, name)| &**name)
    }

    /// Returns the field within the route or the profile, such as `condition.all[0].pathRegex`.
    pub fn field(&self) -> String {
        self.flaw.field()
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        &self.flaw.reason
    }

    /// Returns the path from the `spec` to the field.
    pub fn path(&self) -> Vec<Step> {
        let mut path = Vec::new();
        if let Some((index, _)) = self.route {
            path.extend([Step::Member("routes"), Step::Item(index)]);
        }
        path.extend(self.flaw.path.iter().rev().copied());
        path
    }
}

impl fmt::Display for InvalidProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((index, name)) = &self.route {
            write!(f, "route {name:?} (number {}): ", index + 1)?;
        }
        let field = self.field();
        if !field.is_empty() {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.flaw.reason)
    }
}

impl std::error::Error for InvalidProfile {}

/// One step of a path into a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Member(&'static str),
    /// The item of this index, from zero.
    Item(usize),
}

/// An invalid part of a profile. Its path is collected from the inside out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// The path, innermost step first.
    path: Vec<Step>,
    reason: String,
}

impl Flaw {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self {
            path: Vec::new(),
            reason: reason.into(),
        }
    }

    pub(crate) fn within(mut self, member: &'static str) -> Self {
        self.path.push(Step::Member(member));
        self
    }

    pub(crate) fn within_item(mut self, item: usize) -> Self {
        self.path.push(Step::Item(item));
        self
    }

    pub(crate) fn field(&self) -> String {
        let mut field = String::new();
        for step in self.path.iter().rev() {
            // Writing into a String cannot fail.
            let _ = match step {
                Step::Member(name) if field.is_empty() => write!(field, "{name}"),
                Step::Member(name) => write!(field, ".{name}"),
                Step::Item(item) => write!(field, "[{item}]"),
            };
        }
        field
    }
}
