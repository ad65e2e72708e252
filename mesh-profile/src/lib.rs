#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod duration;
mod explain;
mod invalid;
mod layer;
#[cfg(feature = "serde")]
mod lenient;
mod lint;
mod matcher;
#[cfg(feature = "openapi")]
pub mod openapi;
mod pattern;
mod profile;
#[cfg(feature = "proto")]
pub mod proto;
mod request;
mod response;
mod spec;
mod typed;
mod weight;

pub use self::{
    explain::{Explanation, PassedOver},
    invalid::{InvalidProfile, Step},
    layer::{ProfileHandle, ProfileLayer, Profiled},
    lint::Finding,
    profile::Profile,
    spec::{
        ProfileSpec, RequestMatchSpec, ResponseClassSpec, ResponseMatchSpec, RetryBudgetSpec,
        RouteSpec, StatusRangeSpec, WeightedDst,
    },
    typed::{TypedProfile, TypedRoute},
    weight::{InvalidWeight, Weight},
};
pub use mesh_core::{Class, Classify, RetryBudget, Route};
