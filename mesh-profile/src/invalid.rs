use std::{fmt, fmt::Write as _};

/// A profile that cannot be used: which route, which field, and why.
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

    /// The name of the route, if it is one route's fault.
    pub fn route(&self) -> Option<&str> {
        self.route.as_ref().map(|(_, name)| &**name)
    }

    /// The field within the route, or within the profile: `condition.all[0].pathRegex`.
    pub fn field(&self) -> String {
        self.flaw.field()
    }

    /// Returns the reason.
    pub fn reason(&self) -> &str {
        &self.flaw.reason
    }

    /// The way from the `spec` to the field.
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

/// One step from a value into what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into the member of this name.
    Member(&'static str),
    /// Into the item of this number, from zero.
    Item(usize),
}

/// Something wrong with a part of a profile; the way to it is collected on the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Innermost first.
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
