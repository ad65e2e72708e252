//! A voter with a taste for doughnuts, who never stops.

use anyhow::{Context, bail};
use reqwest::{Client, RequestBuilder, header::HOST};
use serde::Deserialize;
use std::{future::pending, time::Duration};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// The share of votes that go to the doughnut in any case.
const DOUGHNUTS: f64 = 0.15;
/// Longer than the slowest vote.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Allowed durations in seconds: up to a year.
const SECONDS: std::ops::RangeInclusive<f64> = 0.0..=31_536_000.0;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The web service, as host:port
    #[arg(long, env, default_value = "web-svc.emojivoto:80")]
    web_host: String,
    /// Votes a second
    #[arg(long, env, default_value_t = 1.0)]
    request_rate: f64,
    /// When to stop, in seconds; without it there is no end
    #[arg(long, env)]
    ttl: Option<f64>,
    /// The Host header, if it is not WEB_HOST
    #[arg(long, env)]
    host_override: Option<String>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    if !(0.01..=10_000.0).contains(&args.request_rate) {
        bail!(
            "REQUEST_RATE must be between 0.01 and 10000 votes a second, but is {}",
            args.request_rate
        );
    }
    let end = match args.ttl {
        Some(ttl) if !SECONDS.contains(&ttl) => {
            bail!("TTL must be between 0 seconds and a year, but is {ttl}")
        }
        ttl => ttl.map(Duration::from_secs_f64),
    };
    let mut pace = interval(Duration::from_secs_f64(1.0 / args.request_rate));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let bot = Bot {
        web: format!("http://{}", args.web_host),
        host: args.host_override,
        client: Client::builder().timeout(TIMEOUT).build()?,
    };
    let vote_for_ever = async {
        loop {
            pace.tick().await;
            // A voter who is turned away comes again.
            if let Err(error) = bot.vote().await {
                eprintln!("{error:#}");
            }
        }
    };
    let end = async {
        match end {
            Some(end) => sleep(end).await,
            None => pending().await,
        }
    };
    tokio::select! {
        () = vote_for_ever => {}
        () = end => {}
    }
    Ok(())
}

struct Bot {
    web: String,
    host: Option<String>,
    client: Client,
}

#[derive(Deserialize)]
struct Emoji {
    shortcode: String,
}

impl Bot {
    async fn vote(&self) -> anyhow::Result<()> {
        let ballot = self
            .get("/api/list")
            .send()
            .await
            .context("GET /api/list")?;
        let ballot = ballot.error_for_status().context("GET /api/list")?;
        let ballot: Vec<Emoji> = ballot.json().await.context("GET /api/list")?;
        let Some(choice) = choose(&ballot, fastrand::f64(), fastrand::f64()) else {
            bail!("there is nothing to vote for");
        };
        let vote = self.get("/api/vote").query(&[("choice", choice)]);
        let answer = vote
            .send()
            .await
            .with_context(|| format!("voting for {choice}"))?;
        let status = answer.status();
        // Read to the end: the connection is for the next vote.
        answer
            .bytes()
            .await
            .with_context(|| format!("voting for {choice}"))?;
        println!("{}\t{choice}", status.as_u16());
        Ok(())
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let req = self.client.get(format!("{}{path}", self.web));
        match &self.host {
            Some(host) => req.header(HOST, host),
            None => req,
        }
    }
}

/// Chooses an emoji by two numbers between 0 and 1: the doughnut, or any of `ballot`.
fn choose(ballot: &[Emoji], appetite: f64, chance: f64) -> Option<&str> {
    if appetite < DOUGHNUTS {
        return Some(crate::catalogue::DOUGHNUT);
    }
    // Truncated, which is what is wanted.
    let index = (chance * ballot.len() as f64) as usize;
    ballot.get(index).map(|emoji| emoji.shortcode.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doughnuts_are_preferred_and_the_rest_is_chance() {
        let ballot = ["a", "b"].map(|name| Emoji {
            shortcode: name.to_owned(),
        });
        assert_eq!(choose(&ballot, 0.149, 0.9), Some(":doughnut:"));
        assert_eq!(choose(&ballot, 0.15, 0.49), Some("a"));
        assert_eq!(choose(&ballot, 0.9, 0.999), Some("b"));
        assert_eq!(choose(&[], 0.9, 0.0), None);
    }
}
