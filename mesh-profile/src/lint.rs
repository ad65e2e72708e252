use crate::profile::Profile;
use std::fmt;

/// Something in a profile that is allowed but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    route: String,
    message: String,
}

impl Finding {
    /// The name of the route.
    pub fn route(&self) -> &str {
        &self.route
    }

    /// What is odd about it.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {:?}: {}", self.route, self.message)
    }
}

pub(crate) fn check(_profile: &Profile) -> Vec<Finding> {
    Vec::new()
}
