use super::{left, now_ms};
use crate::{args::Global, client::Client, output::Refusal};
use anyhow::{Context, Result};
use clap::ArgGroup;
use mesh_api::{FaultKind, NewFault, Resource};
use mesh_manifest::duration;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

/// Let requests to a service fail, or be late, for a time
///
/// The fault is in the sidecars of the clients; the service does not know. It ends by itself, even
/// if the controller is gone.
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("fault").required(true),
    after_help = "Examples:\n  \
    mesh fault add svc/books --route 'GET /books/{id}.json' --percent 10 --status 503\n  \
    mesh fault add svc/books --delay 200ms..2s --from deploy/webapp --for 5m"
)]
pub(super) struct Args {
    /// The service that is called, as NAME or svc/NAME
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Only requests of this route of the service's profile [default: all]
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Share of the requests, in percent; exact for each sidecar
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    percent: f64,
    /// Answer with this HTTP status, from 400 to 599
    #[arg(long, value_name = "STATUS", group = "fault")]
    status: Option<u16>,
    /// Answer gRPC calls with this status, from 1 to 16
    #[arg(long, value_name = "CODE", group = "fault")]
    grpc_status: Option<u16>,
    /// Wait before the request is sent: a duration, or a range as in 200ms..2s
    #[arg(long, value_name = "DELAY", group = "fault", value_parser = delay)]
    delay: Option<FaultKind>,
    /// Break the connection
    #[arg(long, group = "fault")]
    reset: bool,
    /// Only requests of this workload, as in deploy/webapp
    #[arg(long, value_name = "RESOURCE")]
    from: Option<Resource>,
    /// Time after which the fault ends by itself, at most 24h
    #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = time)]
    time: Duration,
}

pub(super) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let kind = args.kind()?;
    let service = args.service.strip_prefix("svc/").unwrap_or(&args.service);
    let client = Client::find(global)?;
    let new = NewFault {
        namespace: Some(client.namespace(global).await?),
        service: service.to_owned(),
        route: args.route,
        percent: args.percent,
        kind,
        from: args.from,
        for_ms: u64::try_from(args.time.as_millis()).context("--for")?,
    };
    let fault = client.add_fault(&new).await?;
    writeln!(
        io::stdout(),
        "fault {} added: {} for {}% of the requests to {}, ends in {}",
        fault.id,
        fault.kind,
        fault.percent,
        fault.service,
        left(&fault, now_ms())
    )?;
    Ok(ExitCode::SUCCESS)
}

impl Args {
    fn kind(&self) -> Result<FaultKind, Refusal> {
        if let Some(status) = self.status {
            return Ok(FaultKind::Status(status));
        }
        if let Some(code) = self.grpc_status {
            return Ok(FaultKind::GrpcStatus(code));
        }
        if let Some(delay) = self.delay {
            return Ok(delay);
        }
        match self.reset {
            true => Ok(FaultKind::Reset),
            false => Err("name the fault: --status, --grpc-status, --delay or --reset".into()),
        }
    }
}

/// Reads `200ms` or `200ms..2s`.
fn delay(text: &str) -> Result<FaultKind, String> {
    let millis = |text: &str| {
        let time = time(text)?;
        u64::try_from(time.as_millis()).map_err(|error| error.to_string())
    };
    let (min, max) = text.split_once("..").unwrap_or((text, text));
    Ok(FaultKind::Delay {
        min_ms: millis(min)?,
        max_ms: millis(max)?,
    })
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parsed;

    #[test]
    fn a_fault_is_read() {
        let kind = |line: &str| parsed::<Args>(line).0.kind().unwrap();
        for (line, expected) in [
            ("books --status 503", FaultKind::Status(503)),
            ("books --grpc-status 14", FaultKind::GrpcStatus(14)),
            ("svc/books --reset --for 5m", FaultKind::Reset),
            (
                "books --delay 200ms..2s",
                FaultKind::Delay {
                    min_ms: 200,
                    max_ms: 2_000,
                },
            ),
            (
                "books --delay 1s --from deploy/webapp",
                FaultKind::Delay {
                    min_ms: 1_000,
                    max_ms: 1_000,
                },
            ),
        ] {
            assert_eq!(kind(line), expected, "{line}");
        }
        for text in ["", "1", "1s..", "..2s", "soon"] {
            assert!(delay(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_fault_is_required_and_no_more() {
        use clap::Parser as _;
        let refused = |line: &str| {
            let words = format!("mesh fault add books {line}");
            crate::args::Cli::try_parse_from(words.split_whitespace()).is_err()
        };
        assert!(refused("") && refused("--status 503 --reset"));
        assert!(refused("--status many") && refused("--reset --from nobody/x"));
        assert!(!refused("--reset"));
    }
}
