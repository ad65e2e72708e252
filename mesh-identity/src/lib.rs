#![doc = include_str!("../README.md")]

mod anchors;
mod authority;
mod credentials;
mod error;
mod key;
mod name;
mod peer;
mod refusal;
mod renewal;
mod tls;

pub use self::{
    anchors::Anchors,
    authority::{Authority, CLOCK_SKEW, LIFETIME},
    credentials::{Certificates, Credentials},
    error::Error,
    key::Key,
    name::{Identity, InvalidIdentity},
    peer::identity,
    refusal::Refusal,
    renewal::{MAX_REFRESH, MIN_REFRESH, Renewal},
    tls::{client_config, server_config},
};
