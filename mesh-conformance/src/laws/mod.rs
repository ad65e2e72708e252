//! The laws, each as what a caller of the service would do to see it kept.

mod bodies;
mod cancellation;
mod clones;
mod errors;
mod heads;
mod readiness;

pub(crate) use self::{
    bodies::bodies, cancellation::cancellation, clones::clones, errors::errors, heads::heads,
    readiness::readiness,
};
