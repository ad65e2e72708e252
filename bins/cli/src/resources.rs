//! Reads what a command is about: `deploy`, `deploy webapp`, `deploy/webapp`, `all`.

use mesh_controller::web::api::{Kind, Resource};
use mesh_profile::duration;
use std::time::Duration;

/// The parameters of a question to the mesh.
pub(crate) type Query = Vec<(&'static str, String)>;

/// What `all` stands for.
const ALL: [Kind; 3] = [Kind::Deployment, Kind::Pod, Kind::Service];

/// The shortest window, and the longest there is history for.
const WINDOW: (Duration, Duration) = (Duration::from_secs(15), mesh_controller::stats::RETAIN);

/// The resources that a command's arguments name.
pub(crate) fn resources(args: &[String]) -> Result<Vec<Resource>, String> {
    let resources: Vec<Resource> = match args {
        [] => return Err("No resource arguments provided".to_owned()),
        [all] if all == "all" => ALL.map(Resource::all).into(),
        _ if args.iter().any(|arg| arg == "all") => {
            return Err("'all' can't be supplied alongside other resources".to_owned());
        }
        [kind, names @ ..] if !names.is_empty() && !kind.contains(['/', ',']) => {
            let kind: Kind = kind.parse()?;
            let name = |name: &String| match name.contains('/') {
                true => Err(format!("Invalid resource string: {name}")),
                false => Ok(Resource::named(kind, name)),
            };
            names.iter().map(name).collect::<Result<_, _>>()?
        }
        args => args
            .iter()
            .flat_map(|arg| arg.split(','))
            .map(str::parse)
            .collect::<Result<_, _>>()?,
    };
    let mut distinct = resources.clone();
    distinct.sort();
    distinct.dedup();
    if distinct.len() < resources.len() {
        return Err("cannot supply duplicate resources".to_owned());
    }
    Ok(resources)
}

/// The one resource, or kind of resource, that a command's arguments name.
pub(crate) fn resource(args: &[String]) -> Result<Resource, String> {
    match &resources(args)?[..] {
        [one] => Ok(one.clone()),
        _ => Err(format!(
            "only one resource is expected, not {}",
            args.join(" ")
        )),
    }
}

/// The resource that a filter (`--to`, `--from`) names.
pub(crate) fn filter(text: &str) -> Result<Resource, String> {
    match text {
        "all" => Err("resource type 'all' is not supported as a filter".to_owned()),
        text => text.parse(),
    }
}

/// Checks the flags of one filter: its namespace makes no sense for a namespace.
pub(crate) fn check_filter_namespace(
    flag: &str,
    resource: Option<&Resource>,
    namespace: Option<&str>,
) -> Result<(), String> {
    let is_namespace = resource.is_some_and(|resource| resource.kind == Kind::Namespace);
    if is_namespace && namespace.is_some() {
        return Err(format!(
            "--{flag}-namespace flag is incompatible with namespace resource type"
        ));
    }
    Ok(())
}

/// Reads a time window; says so on standard error when it reaches further back than anyone knows.
pub(crate) fn window(text: &str) -> Result<Duration, String> {
    let window = duration::parse(text).map_err(|error| format!("invalid time window: {error}"))?;
    if window < WINDOW.0 {
        return Err("metrics time window needs to be at least 15s".to_owned());
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

    fn read(args: &str) -> Result<String, String> {
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
            assert_eq!(read(args).unwrap_err(), reason, "{args}");
        }
    }

    #[test]
    fn a_window_is_at_least_fifteen_seconds() {
        assert_eq!(window("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(
            window("14s").unwrap_err(),
            "metrics time window needs to be at least 15s"
        );
        assert!(
            window("soon")
                .unwrap_err()
                .starts_with("invalid time window: ")
        );
    }
}
