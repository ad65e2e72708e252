//! Faults on purpose: `FAILURE_RATE` and `LATENCY`.

use axum::{
    Router,
    extract::{Request, State},
    http::{Method, StatusCode},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use std::{str::FromStr, time::Duration};

/// The faults of one service.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Knobs {
    /// The share of HEAD requests answered 503, from 0 to 1
    #[arg(long, env, default_value_t = 0.0)]
    failure_rate: f64,
    /// Delay of each request, such as 20ms or 20ms±15ms
    #[arg(long, env)]
    latency: Option<Latency>,
}

impl Knobs {
    /// Puts the faults in front of `router`.
    pub(crate) fn apply(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, misbehave))
    }
}

async fn misbehave(State(knobs): State<Knobs>, req: Request, next: Next) -> Response {
    // Readiness is not traffic.
    if req.uri().path() == "/ping" {
        return next.run(req).await;
    }
    if let Some(latency) = knobs.latency {
        tokio::time::sleep(latency.draw(fastrand::f64())).await;
    }
    if req.method() == Method::HEAD && fastrand::f64() < knobs.failure_rate {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(req).await
}

/// A delay drawn evenly from `mean - spread` to `mean + spread`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Latency {
    mean: f64,
    spread: f64,
}

impl Latency {
    fn draw(self, unit: f64) -> Duration {
        Duration::from_secs_f64((self.mean + self.spread * (2.0 * unit - 1.0)).max(0.0))
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (mean, spread) = match text.split_once('±').or_else(|| text.split_once("+-")) {
            Some((mean, spread)) => (seconds(mean)?, seconds(spread)?),
            None => (seconds(text)?, 0.0),
        };
        Ok(Self { mean, spread })
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let (number, factor) = match text.trim() {
        text if text.ends_with("ms") => (&text[..text.len() - 2], 1e-3),
        text if text.ends_with('s') => (&text[..text.len() - 1], 1.0),
        text => return Err(format!("`{text}` needs a unit: ms or s")),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=3600.0).contains(&(value * factor)) => Ok(value * factor),
        _ => Err(format!("`{text}` is not a duration from 0 to 1 hour")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_has_a_mean_and_perhaps_a_spread() {
        let latency: Latency = "20ms±15ms".parse().unwrap();
        assert_eq!(latency.draw(0.0), Duration::from_millis(5));
        assert_eq!(latency.draw(0.5), Duration::from_millis(20));
        assert_eq!("20ms+-15ms".parse(), Ok(latency));
        assert_eq!(
            "1s".parse::<Latency>().unwrap().draw(0.9),
            Duration::from_secs(1)
        );
        assert_eq!(
            "1ms±5ms".parse::<Latency>().unwrap().draw(0.0),
            Duration::ZERO
        );
        for bad in ["20", "ms", "-1s", "20ms±", "1d"] {
            assert!(bad.parse::<Latency>().is_err(), "{bad}");
        }
    }
}
