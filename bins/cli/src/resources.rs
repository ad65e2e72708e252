//! Reads what a command is about: `deploy`, `deploy webapp`, `deploy/webapp`, `all`.

use crate::output::Refusal;
use mesh_api::{InvalidPeer, Kind, ParseResourceError, Peer, Resource, Window};

/// Kinds that `all` includes.
const ALL: [Kind; 3] = [Kind::Deployment, Kind::Pod, Kind::Service];

/// The resources that a command's arguments name.
pub(crate) fn resources(args: &[String]) -> Result<Vec<Resource>, Refusal> {
    let resources: Vec<Resource> = match args {
        [] => return Err("No resource arguments provided".into()),
        [all] if all == "all" => ALL.map(Resource::all).into(),
        _ if args.iter().any(|arg| arg == "all") => {
            return Err("'all' can't be supplied alongside other resources".into());
        }
        [kind, names @ ..] if !names.is_empty() && !kind.contains(['/', ',']) => {
            let kind: Kind = kind.parse().map_err(unknown)?;
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
    text.parse().map_err(unknown)
}

#[allow(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unknown(error: ParseResourceError) -> Refusal {
    Refusal::Unknown(error.to_string())
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

/// The resource that a filter names: the flag `--to` or `--from`, and that of its namespace.
pub(crate) fn peer(
    flag: &str,
    resource: Option<&str>,
    namespace: Option<&str>,
) -> Result<Option<Peer>, Refusal> {
    let resource = match resource {
        None => return Ok(None),
        Some("all") => return Err("resource type 'all' is not supported as a filter".into()),
        Some(text) => parse(text)?,
    };
    let peer = Peer::new(resource, namespace.map(str::to_owned));
    peer.map(Some).map_err(|InvalidPeer| {
        format!("--{flag}-namespace flag is incompatible with namespace resource type").into()
    })
}

/// Reads a time window; notes on standard error if the mesh keeps less history than that.
pub(crate) fn window(text: &str) -> Result<Window, Refusal> {
    let window: Window = text
        .parse()
        .map_err(|error| Refusal::Usage(format!("{error}")))?;
    if window.length() > Window::KEPT {
        let kept = Window::KEPT.as_secs() / 60;
        eprintln!("Note: the mesh keeps {kept}m of history; these rates are over that.");
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
        assert_eq!(window("1m"), Ok(Window::default()));
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
        assert!(matches!(
            peer("to", Some("web/a"), None),
            Err(Refusal::Unknown(_))
        ));
        assert!(matches!(read(""), Err(Refusal::Usage(_))));
    }
}
