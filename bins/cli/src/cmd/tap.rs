//! `mesh tap`.

use crate::{
    args::Global,
    client::{Client, Lines},
    output::{Refusal, json, refuse},
    resources::{peer, resource},
};
use anyhow::{Context, Result};
use mesh_api::{StatusRange, TapRequest};
use mesh_manifest::duration;
use mesh_tap::{Event, har::Har};
use std::{
    fmt::Write as _,
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

/// Show requests as they happen
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh tap deploy/webapp
  mesh tap deploy/webapp --to svc/books --method POST -o wide
  mesh tap deploy/webapp --status 5xx --slower-than 300ms
  mesh tap deploy/webapp -o har > webapp.har")]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Output format: wide, with every label; json, with headers; har, an HTTP Archive of up to
    /// 10,000 exchanges, written at Ctrl-C or SIGTERM. By default one line each.
    #[arg(
        short = 'o',
        long,
        value_name = "FORMAT",
        default_value = "",
        hide_default_value = true
    )]
    output: String,
}

/// Whose requests, and which of them; `mesh top` asks the same.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// Whose requests: TYPE, TYPE NAME or TYPE/NAME; types are deploy, po and ns.
    #[arg(value_name = "RESOURCE")]
    resource: Vec<String>,
    /// Only those sent to this resource.
    #[arg(long, value_name = "RESOURCE")]
    to: Option<String>,
    /// The namespace of --to, if it is another.
    #[arg(long, value_name = "NAMESPACE")]
    to_namespace: Option<String>,
    /// About how many a second.
    #[arg(long, value_name = "RPS", default_value_t = 100.0)]
    max_rps: f32,
    /// Only those of this scheme.
    #[arg(long)]
    scheme: Option<String>,
    /// Only those of this method.
    #[arg(long)]
    method: Option<String>,
    /// Only those of exactly this authority.
    #[arg(long)]
    authority: Option<String>,
    /// Only those whose path begins like this.
    #[arg(long, value_name = "PREFIX")]
    path: Option<String>,
    /// Only those of the route with this name.
    #[arg(long, value_name = "NAME")]
    route: Option<String>,
    /// Only those answered with this status: 503, 5xx or 500-599.
    #[arg(long, value_name = "STATUS")]
    status: Option<StatusRange>,
    /// Only those whose response, or an error instead of it, took at least this long: 300ms, 1.5s.
    #[arg(long, value_name = "DURATION")]
    slower_than: Option<String>,
    /// Only those that went wrong for this reason, as in `reason=timeout` of their end.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only retries.
    #[arg(long)]
    retried: bool,
}

impl Filter {
    /// The request, or why there is none.
    pub(super) fn request(&self, global: &Global) -> Result<TapRequest, Refusal> {
        if !self.max_rps.is_finite() || self.max_rps < 0.0 {
            return Err("--max-rps needs to be a rate".into());
        }
        let slower_than = self.slower_than.as_deref().map(|text| {
            let limit = duration::parse(text);
            limit.map_err(|error| Refusal::Usage(format!("--slower-than {error}")))
        });
        Ok(TapRequest {
            namespace: global.namespace.clone(),
            to: peer("to", self.to.as_deref(), self.to_namespace.as_deref())?,
            max_rps: self.max_rps,
            scheme: self.scheme.clone(),
            method: self.method.clone(),
            authority: self.authority.clone(),
            path: self.path.clone(),
            route: self.route.clone(),
            status: self.status,
            slower_than: slower_than.transpose()?,
            reason: self.reason.clone(),
            retried: self.retried,
            ..TapRequest::new(resource(&self.resource)?)
        })
    }
}

/// The events of the mesh that the flags name.
pub(super) async fn events(global: &Global, request: &TapRequest) -> Result<Lines> {
    Client::find(global)?.tap(request).await
}

/// Reads a line of the stream.
pub(super) fn event(line: &str) -> Result<Event> {
    serde_json::from_str(line).context("the mesh sent an event that this version cannot read")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Line,
    Wide,
    Json,
    Har,
}

/// Exchanges that an archive holds at most.
const MAX_ARCHIVE: usize = 10_000;

pub(crate) async fn run(args: Args, global: &Global) -> Result<ExitCode> {
    let format = match &*args.output {
        "" => Format::Line,
        "wide" => Format::Wide,
        "json" => Format::Json,
        "har" => Format::Har,
        other => {
            let reason = format!("unsupported output format \"{other}\"; use wide, json or har");
            return refuse(reason);
        }
    };
    let mut request = args.filter.request(global)?;
    request.headers = matches!(format, Format::Json | Format::Har);
    let mut lines = events(global, &request).await?;
    let mut out = io::stdout();
    let mut archive = Har::new(MAX_ARCHIVE);
    // `timeout` and service managers send this one: the archive is written all the same.
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        let line = tokio::select! {
            line = lines.next() => line?,
            _ = ctrl_c() => None,
            _ = terminate.recv() => None,
        };
        let Some(line) = line else {
            break;
        };
        if format == Format::Har && !line.is_empty() {
            archive.add(&event(&line)?, SystemTime::now());
        } else if !line.is_empty() {
            out.write_all(render(&event(&line)?, format)?.as_bytes())?;
        }
    }
    if format == Format::Har {
        if archive.dropped() > 0 {
            eprintln!(
                "Note: {} exchanges had no room in the archive.",
                archive.dropped()
            );
        }
        out.write_all(json(&archive)?.as_bytes())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn render(event: &Event, format: Format) -> Result<String> {
    let mut text = match format {
        Format::Json => serde_json::to_string_pretty(event)?,
        _ => event.to_string(),
    };
    if format == Format::Wide {
        text.clear();
        write!(text, "{}", event.wide())?;
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parsed;
    use crate::output::golden;

    fn query(line: &str) -> Result<String, Refusal> {
        let (args, global) = parsed::<Args>(line);
        let request = args.filter.request(&global)?;
        Ok(serde_urlencoded::to_string(&request).unwrap())
    }

    /// A recorded stream of the controller.
    const STREAM: &str = include_str!("../../tests/golden/tap_stream.ndjson");

    #[test]
    fn every_shape_is_as_expected() {
        for (name, format) in [
            ("tap.txt", Format::Line),
            ("tap_wide.txt", Format::Wide),
            ("tap.json", Format::Json),
        ] {
            let lines = STREAM.lines().map(|line| render(&event(line)?, format));
            golden(name, &lines.collect::<Result<String>>().unwrap());
        }
    }

    #[test]
    fn an_archive_holds_the_exchange_whose_request_was_seen() {
        let mut archive = Har::new(MAX_ARCHIVE);
        for line in STREAM.lines() {
            archive.add(&event(line).unwrap(), SystemTime::UNIX_EPOCH);
        }
        let text = json(&archive).unwrap();
        let archive: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(archive["log"]["entries"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_question_is_passed_on() {
        assert_eq!(
            query("deploy/webapp -n shop --to svc/books --method POST --path /books").as_deref(),
            Ok(
                "resource=deploy%2Fwebapp&max_rps=100.0&namespace=shop&to=svc%2Fbooks&method=POST&path=%2Fbooks"
            )
        );
        assert_eq!(
            query("").unwrap_err().to_string(),
            "No resource arguments provided"
        );
        assert_eq!(
            query("deploy/webapp --to all").unwrap_err().to_string(),
            "resource type 'all' is not supported as a filter"
        );
        assert!(query("deploy/webapp --max-rps NaN").is_err());
        assert_eq!(
            query("po --status 5xx --slower-than 1.5s --reason reset --retried --route /a")
                .as_deref(),
            Ok(
                "resource=po&max_rps=100.0&route=%2Fa&status=500-599&slower_than=1s500ms&reason=reset&retried=true"
            )
        );
        assert!(query("po --slower-than 1").is_err());
    }
}
