//! The JSON API.

pub mod api;
