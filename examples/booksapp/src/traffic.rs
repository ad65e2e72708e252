//! A customer who adds two books by one author, renames one, and removes them all, for ever.

use crate::site::Site;
use anyhow::{Context, bail};
use reqwest::{Method, StatusCode, header::LOCATION};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shop, as host:port
    #[arg(env = "WEBAPP", default_value = "webapp:7000")]
    target: String,
    /// Requests a second at most. Each causes at most one HEAD to authors, so that the default of
    /// 8 leaves the retries of a half-failing service within the default budget
    #[arg(long, env = "TRAFFIC_RATE", default_value_t = 8.0)]
    rate: f64,
    /// Seconds before the first request
    #[arg(long, env = "TRAFFIC_DELAY", default_value_t = 0.0)]
    initial_delay: f64,
    /// Number of rounds; unlimited by default
    #[arg(long)]
    rounds: Option<u64>,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    if !(0.01..=10_000.0).contains(&args.rate) {
        bail!(
            "--rate must be between 0.01 and 10000 requests a second, but is {}",
            args.rate
        );
    }
    if !(0.0..=86_400.0).contains(&args.initial_delay) {
        bail!(
            "--initial-delay must be between 0 and 86400 seconds, but is {}",
            args.initial_delay
        );
    }
    sleep(Duration::from_secs_f64(args.initial_delay)).await;
    let mut pace = interval(Duration::from_secs_f64(1.0 / args.rate));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut customer = Customer {
        shop: Site::new(&format!("http://{}", args.target))?,
        pace,
    };

    while customer.get("/reset").await? != StatusCode::NO_CONTENT {}
    let mut rounds = 0;
    while args.rounds != Some(rounds) {
        customer.round().await?;
        rounds += 1;
    }
    Ok(())
}

struct Customer {
    shop: Site,
    pace: tokio::time::Interval,
}

impl Customer {
    async fn round(&mut self) -> anyhow::Result<()> {
        self.get("/").await?;
        let author = self
            .post(
                "/authors",
                &[("first_name", "Ernest"), ("last_name", "Cline")],
            )
            .await?;
        self.get(&author).await?;
        let id = author.rsplit('/').next().unwrap_or_default().to_owned();

        let one = self
            .post(
                "/books",
                &[
                    ("title", "Ready Player One"),
                    ("pages", "345"),
                    ("author_id", &id),
                ],
            )
            .await?;
        self.get(&one).await?;
        let two = self
            .post(
                "/books",
                &[
                    ("title", "Ready Player Two"),
                    ("pages", "456"),
                    ("author_id", &id),
                ],
            )
            .await?;
        self.get(&two).await?;
        let edited = [
            ("title", "Ready Player Three"),
            ("pages", "567"),
            ("author_id", id.as_str()),
        ];
        self.post(&format!("{two}/edit"), &edited).await?;
        self.post(&format!("{two}/delete"), &[]).await?;
        self.post(&format!("{author}/delete"), &[]).await?;
        Ok(())
    }

    async fn get(&mut self, path: &str) -> anyhow::Result<StatusCode> {
        let (status, _) = self.send(Method::GET, path, &[]).await?;
        Ok(status)
    }

    /// Posts until the shop redirects, and returns where to.
    async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> anyhow::Result<String> {
        loop {
            let (status, location) = self.send(Method::POST, path, form).await?;
            if status != StatusCode::SEE_OTHER {
                continue;
            }
            let location =
                location.with_context(|| format!("POST {path}: 303 without a location"))?;
            let creates = matches!(path, "/authors" | "/books");
            if creates && location == "/" {
                bail!("POST {path}: it exists already; starting afresh");
            }
            return Ok(location);
        }
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<(StatusCode, Option<String>)> {
        self.pace.tick().await;
        let started = Instant::now();
        let req = self.shop.request(method.clone(), path);
        let req = if method == Method::POST {
            req.form(form)
        } else {
            req
        };
        let rsp = req
            .send()
            .await
            .with_context(|| format!("{method} {path}"))?;
        let status = rsp.status();
        let location = rsp
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        // Read to the end: a page is only seen when it is whole.
        rsp.bytes()
            .await
            .with_context(|| format!("{method} {path}"))?;
        println!(
            "{:.1?}\t{}\t{method}\t{path}",
            started.elapsed(),
            status.as_u16()
        );
        Ok((status, location))
    }
}
