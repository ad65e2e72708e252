#![doc = include_str!("../README.md")]

mod canary;
mod check;
mod destination;
mod duration;
mod edges;
mod error;
mod fault;
mod manifest;
#[cfg(feature = "openapi")]
pub mod openapi;
mod peer;
mod rate;
mod resource;
mod routes;
mod stat;
mod status;
mod tap;
mod version;
mod window;
mod workload;

pub use self::{
    canary::{
        CanariesRequest, CanaryCheck, CanaryCommand, CanaryCommanded, CanaryDecision, CanaryDetail,
        CanaryEvent, CanaryRow,
    },
    check::{Check, CheckCategory, CheckReport, CheckRequest, CheckResult, SidecarAddr},
    destination::{Destination, DestinationRequest, Leaf, LeafEndpoint, ProfileRef},
    edges::{EdgeRow, EdgesRequest},
    error::ErrorBody,
    fault::{Fault, FaultKind, FaultsRequest, NewFault},
    manifest::{
        Applied, ApplyRequest, ManifestKind, ManifestList, Names, Outcome, Rejection, UnknownKind,
    },
    peer::{InvalidPeer, Namespaces, Peer, Side},
    rate::{Latency, Rate},
    resource::{Kind, ParseResourceError, Resource},
    routes::{RouteRow, RouteTable, RoutesRequest},
    stat::{StatRequest, StatRow, StatTable},
    status::{InvalidStatus, StatusRange},
    tap::TapRequest,
    version::{Version, VersionRequest},
    window::{InvalidWindow, Window},
    workload::WorkloadChange,
};

/// A question that is asked with `GET`: its fields are the parameters of the query.
pub trait Question: serde::Serialize + serde::de::DeserializeOwned {
    /// Path of the question: `/api/v1/stat`.
    const PATH: &'static str;
}
