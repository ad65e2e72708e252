//! Reads what a command is about: `deploy`, `deploy webapp`, `deploy/webapp`, `all`.

use crate::output::Refusal;
use mesh_controller::web::api::{Kind, Resource};
use mesh_manifest::duration;
use std::time::Duration;

/// The parameters of a question to the mesh.
pub(crate) type Query = Vec<(&'static str, String)>;

/// What `all` stands for.
const ALL: [Kind; 3] = [Kind::Deployment, Kind::Pod, Kind::Service];

/// The shortest window, and the longest there is history for.
const WINDOW: (Duration, Duration) = (Duration::from_secs(15), mesh_controller::stats::RETAIN);

/// The resources that a command's arguments name.
pub(crate) fn resources(args: &[String]) -> Result<Vec<Resource>, Refusal> {
    let resources: Vec<Resource> = match args {
        [] => return Err("No resource arguments provided".into()),
        [all] if all == "all" => ALL.map(Resource::all).into(),
        _ if args.iter().any(|arg| arg == "all") => {
            return Err("'all' can't be supplied alongside other resources".into());
        }
        [kind, names @ ..] if !names.is_empty() && !kind.contains(['/', ',']) => {
            let kind: Kind = kind.parse().map_err(Refusal::Unknown)?;
            let name = |name: &String| match name.contains('/') {
                true => Err(Refusal::Usage(format!("Invalid resource string: {name}"))),
                false => Ok(Resource::named(kind, name)),
            };
            names.iter().map(name).collect::<Result<_, _>>()?
        }
        args => args
            .iter()
            .flat_map(|arg| arg.split(','))
            .map(parse)
            .collect::<Result<_, _>>()?,
    };
    let mut distinct = resources.clone();
    distinct.sort();
    distinct.dedup();
    if distinct.len() < resources.len() {
        return Err("cannot supply duplicate resources".into());
    }
    Ok(resources)
}

fn parse(text: &str) -> Result<Resource, Refusal> {
    text.parse().map_err(Refusal::Unknown)
}

/// The one resource, or kind of resource, that a command's arguments name.
pub(crate) fn resource(args: &[String]) -> Result<Resource, Refusal> {
    match &resources(args)?[..] {
        [one] => Ok(one.clone()),
        _ => {
            let given = args.join(" ");
            Err(format!("only one resource is expected, not {given}").into())
        }
    }
}

/// The resource that a filter (`--to`, `--from`) names.
pub(crate) fn filter(text: &str) -> Result<Resource, Refusal> {
    match text {
        "all" => Err("resource type 'all' is not supported as a filter".into()),
        text => parse(text),
    }
}

/// Checks the flags of one filter: its namespace makes no sense for a namespace.
pub(crate) fn check_filter_namespace(
    flag: &str,
    resource: Option<&Resource>,
    namespace: Option<&str>,
) -> Result<(), Refusal> {
    let is_namespace = resource.is_some_and(|resource| resource.kind == Kind::Namespace);
    if is_namespace && namespace.is_some() {
        return Err(format!(
            "--{flag}-namespace flag is incompatible with namespace resource type"
        )
        .into());
    }
    Ok(())
}

/// Reads a time window; says so on standard error when it reaches further back than anyone knows.
pub(crate) fn window(text: &str) -> Result<Duration, Refusal> {
    let window = duration::parse(text).map_err(|error| format!("invalid time window: {error}"))?;
    if window < WINDOW.0 {
        return Err("metrics time window needs to be at least 15s".into());
    }
    if window > WINDOW.1 {
        let kept = duration::format(WINDOW.1);
        eprintln!("Note: the mesh keeps {kept} of history; these rates are over that.");
    }
    Ok(window)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> Result<String, Refusal> {
        let args: Vec<String> = args.split_whitespace().map(str::to_owned).collect();
        let resources = resources(&args)?;
        Ok(resources
            .iter()
            .map(Resource::to_string)
            .collect::<Vec<_>>()
            .join(" "))
    }

    #[test]
    fn resources_are_read_in_every_form() {
        for (args, expected) in [
            ("deploy", "deploy"),
            ("deployments", "deploy"),
            ("deploy webapp", "deploy/webapp"),
            ("deploy webapp books", "deploy/webapp deploy/books"),
            ("deploy/webapp po/books-0", "deploy/webapp po/books-0"),
            ("deploy,po", "deploy po"),
            ("all", "deploy po svc"),
        ] {
            assert_eq!(read(args).as_deref(), Ok(expected), "{args}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (args, reason) in [
            ("", "No resource arguments provided"),
            (
                "deploy all",
                "'all' can't be supplied alongside other resources",
            ),
            ("deploy/a deploy/a", "cannot supply duplicate resources"),
            ("deploy/a/b", "Invalid resource string: deploy/a/b"),
            ("deploy a/b", "Invalid resource string: a/b"),
            (
                "web",
                "cannot find Kubernetes canonical name from friendly name [web]",
            ),
        ] {
            assert_eq!(read(args).unwrap_err().to_string(), reason, "{args}");
        }
    }

    #[test]
    fn a_window_is_at_least_fifteen_seconds() {
        assert_eq!(window("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(
            window("14s").unwrap_err().to_string(),
            "metrics time window needs to be at least 15s"
        );
        assert!(
            window("soon")
                .unwrap_err()
                .to_string()
                .starts_with("invalid time window: ")
        );
    }

    #[test]
    fn what_does_not_exist_is_an_error_and_not_wrong_usage() {
        assert!(matches!(read("web"), Err(Refusal::Unknown(_))));
        assert!(matches!(read("web a"), Err(Refusal::Unknown(_))));
        assert!(matches!(filter("web/a"), Err(Refusal::Unknown(_))));
        assert!(matches!(read(""), Err(Refusal::Usage(_))));
    }
}
