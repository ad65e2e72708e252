//! The `voting` service: counts votes, and fails those for the doughnut.

mod poll;

use crate::{
    catalogue::{CATALOGUE, DOUGHNUT, Entry},
    grpc::{self, Client},
    messages::{ResultsRequest, ResultsResponse, VoteRequest, VoteResponse, VotingResult},
    serve,
};
use axum::{
    Router,
    extract::{Path, Request, State},
    response::Response,
    routing::post,
};
use poll::Poll;
use std::{sync::Arc, time::Duration};
use tonic::Status;

/// Its full name.
pub(crate) const SERVICE: &str = "emojivoto.v1.VotingService";

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    listen: serve::Grpc,
    #[command(flatten)]
    knobs: Knobs,
}

/// Faults that the service injects into itself.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Knobs {
    /// The share of votes for the doughnut that fail, from 0 to 1
    #[arg(long, env, default_value_t = 1.0, value_parser = share)]
    failure_rate: f64,
    /// Delay of every vote, such as 20ms
    #[arg(long, env, default_value = "0ms", value_parser = delay)]
    artificial_delay: Duration,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    serve::serve("voting", args.listen.port(), router(args.knobs)).await
}

pub(crate) fn router(knobs: Knobs) -> Router {
    let booth = Booth {
        knobs,
        poll: Poll::default(),
    };
    Router::new()
        .route(&format!("/{SERVICE}/{{method}}"), post(answer))
        .with_state(Arc::new(booth))
}

struct Booth {
    knobs: Knobs,
    poll: Poll,
}

async fn answer(
    State(booth): State<Arc<Booth>>,
    Path(method): Path<String>,
    req: Request,
) -> Response {
    if method == "Results" {
        return grpc::unary(req, |ResultsRequest {}| {
            let results = booth.poll.results();
            Ok(ResultsResponse { results })
        })
        .await;
    }
    let Some(entry) = CATALOGUE.iter().find(|entry| entry.method == method) else {
        return grpc::unimplemented(&method);
    };
    tokio::time::sleep(booth.knobs.artificial_delay).await;
    grpc::unary(req, |VoteRequest {}| booth.vote(entry)).await
}

impl Booth {
    fn vote(&self, entry: &Entry) -> Result<VoteResponse, Status> {
        if entry.shortcode == DOUGHNUT && fastrand::f64() < self.knobs.failure_rate {
            return Err(Status::unknown("no votes for doughnuts"));
        }
        self.poll.vote(entry);
        Ok(VoteResponse {})
    }
}

/// The service, as others call it.
#[derive(Clone, Debug)]
pub(crate) struct Votes(Client);

impl Votes {
    /// At `host`, a host and a port.
    pub(crate) fn at(host: &str) -> anyhow::Result<Self> {
        Ok(Self(Client::new(SERVICE, host)?))
    }

    pub(crate) async fn vote(&self, entry: &Entry) -> Result<(), Status> {
        let VoteResponse {} = self.0.call(entry.method, VoteRequest {}).await?;
        Ok(())
    }

    pub(crate) async fn results(&self) -> Result<Vec<VotingResult>, Status> {
        let answer = self.0.call("Results", ResultsRequest {});
        let ResultsResponse { results } = answer.await?;
        Ok(results)
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.trim().parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a share from 0 to 1")),
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let (number, factor) = match text.trim() {
        text if text.ends_with("ms") => (&text[..text.len() - 2], 1e-3),
        text if text.ends_with('s') => (&text[..text.len() - 1], 1.0),
        text => return Err(format!("`{text}` needs a unit: ms or s")),
    };
    match number.trim().parse::<f64>() {
        Ok(value) if (0.0..=3600.0).contains(&(value * factor)) => {
            Ok(Duration::from_secs_f64(value * factor))
        }
        _ => Err(format!("`{text}` is not a duration from 0 to 1 hour")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_take_shares_and_durations_only() {
        assert_eq!(share("0.25"), Ok(0.25));
        assert_eq!(delay("20ms"), Ok(Duration::from_millis(20)));
        assert_eq!(delay("1.5s"), Ok(Duration::from_millis(1500)));
        for bad in ["", "2", "-1s", "1d", "NaN"] {
            assert!(delay(bad).is_err(), "{bad}");
        }
        for bad in ["", "2", "-0.1", "NaN"] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
