//! `mesh profile`.

use crate::{args::Global, client::Client, output::Refusal};
use anyhow::{Context, Result, anyhow, ensure};
use mesh_manifest::{ServiceProfileManifest, names, template};
use mesh_profile::{openapi, proto};
use std::{
    fs,
    io::{self, Read, Write},
    process::ExitCode,
    time::Duration,
};

/// Print the service profile that an OpenAPI or protobuf document describes
///
/// Exactly one of --open-api, --proto and --template is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mesh profile --open-api swagger/books.yaml books | mesh apply -f -
  mesh profile --proto voting.proto voting-svc
  mesh profile --template books > books.profile.yaml")]
pub(crate) struct Args {
    /// The service the profile is for
    #[arg(value_name = "SERVICE")]
    service: String,
    /// Print a commented profile to begin with
    #[arg(long)]
    template: bool,
    /// A Swagger 2.0 or OpenAPI 3 document, as JSON or YAML; `-` is standard input
    #[arg(long, value_name = "FILE")]
    open_api: Option<String>,
    /// A protobuf source; `-` is standard input
    #[arg(long, value_name = "FILE")]
    proto: Option<String>,
    /// Path in front of all paths, instead of the OpenAPI document's `basePath` or server
    #[arg(long, value_name = "PATH", requires = "open_api")]
    base_path: Option<String>,
    /// Treat warnings about the OpenAPI document as errors
    #[arg(long, requires = "open_api")]
    strict: bool,
    /// Output format
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        conflicts_with = "template"
    )]
    output: Format,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    #[default]
    Yaml,
    Json,
}

/// Where Kubernetes' own DNS would put services; a profile's name ends so.
const CLUSTER_DOMAIN: &str = "cluster.local";

/// The largest document that is read: ten times the largest we know of.
const MAX_INPUT: u64 = 128 << 20;

pub(crate) fn run(args: &Args, global: &Global) -> Result<ExitCode> {
    let namespace = match &global.namespace {
        Some(namespace) => namespace.clone(),
        None => running_namespace(global).unwrap_or_else(|| "default".to_owned()),
    };
    let source = args.source()?;
    check_names(&args.service, &namespace)?;
    let input = match source.file() {
        Some(file) => read(file)?,
        None => String::new(),
    };
    let (text, notes) = print(args, source, &namespace, &input)?;
    io::stderr().write_all(notes.as_bytes())?;
    io::stdout().write_all(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// Source of the profile.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Template,
    OpenApi(&'a str),
    Proto(&'a str),
}

impl Args {
    fn source(&self) -> Result<Source<'_>> {
        match (self.template, &self.open_api, &self.proto) {
            (true, None, None) => Ok(Source::Template),
            (false, Some(file), None) => Ok(Source::OpenApi(file)),
            (false, None, Some(file)) => Ok(Source::Proto(file)),
            _ => Err(Refusal::from(
                "You must specify exactly one of --template or --open-api or --proto",
            )
            .into()),
        }
    }
}

impl<'a> Source<'a> {
    fn file(self) -> Option<&'a str> {
        match self {
            Self::Template => None,
            Self::OpenApi(file) | Self::Proto(file) => Some(file),
        }
    }
}

fn check_names(service: &str, namespace: &str) -> Result<()> {
    names::check_service(service)
        .map_err(|error| anyhow!("invalid service {service:?}: [{error}]"))?;
    names::check_namespace(namespace)
        .map_err(|error| anyhow!("invalid namespace {namespace:?}: [{error}]"))
}

/// The output, and what to tell beside it.
fn print(
    args: &Args,
    source: Source<'_>,
    namespace: &str,
    input: &str,
) -> Result<(String, String)> {
    let mut notes = String::new();
    let spec = match source {
        Source::Template => {
            let text = template(&args.service, namespace, CLUSTER_DOMAIN);
            return Ok((text, notes));
        }
        Source::OpenApi(file) => {
            let options = openapi::Options {
                base_path: args.base_path.clone(),
                strict: args.strict,
            };
            let import = openapi::import(input, called(file), &options)?;
            for diagnostic in &import.diagnostics {
                notes.push_str(&format!("{diagnostic}\n"));
            }
            import.spec
        }
        Source::Proto(file) => {
            let spec = proto::import(input, called(file))?;
            if spec.routes.is_empty() {
                let file = called(file);
                notes = format!(
                    "{file}: warning: no service in it has a method, so the profile has no routes\n"
                );
            }
            spec
        }
    };
    let manifest = ServiceProfileManifest::new(&args.service, namespace, CLUSTER_DOMAIN, spec);
    let text = match args.output {
        Format::Yaml => manifest.to_yaml(),
        Format::Json => manifest.to_json(),
    };
    Ok((text, notes))
}

/// Name of the file in messages.
fn called(file: &str) -> &str {
    if file == "-" { "standard input" } else { file }
}

fn read(file: &str) -> Result<String> {
    let mut bytes = Vec::new();
    let read = if file == "-" {
        io::stdin()
            .lock()
            .take(MAX_INPUT + 1)
            .read_to_end(&mut bytes)
    } else {
        fs::File::open(file).and_then(|open| {
            // One allocation of the right size; a file of 13 MB grows through a dozen else.
            let size = open.metadata().map_or(0, |metadata| metadata.len());
            bytes.reserve_exact(size.min(MAX_INPUT) as usize + 1);
            open.take(MAX_INPUT + 1).read_to_end(&mut bytes)
        })
    };
    read.with_context(|| format!("Error reading file: {}", called(file)))?;
    ensure!(
        bytes.len() as u64 <= MAX_INPUT,
        "Error reading file: {} is larger than {} MiB",
        called(file),
        MAX_INPUT >> 20
    );
    String::from_utf8(bytes).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!(
            "Error reading file: {} is not text: the byte at {offset} is not UTF-8",
            called(file)
        )
    })
}

/// The namespace of the running mesh, if there is one near and it answers at once.
fn running_namespace(global: &Global) -> Option<String> {
    let client = Client::find(global).ok()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    let asked = async {
        let asked = client.namespace(global);
        tokio::time::timeout(Duration::from_millis(500), asked).await
    };
    runtime.block_on(asked).ok()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parsed;

    fn args(line: &str) -> Args {
        parsed(line).0
    }

    fn profile(line: &str, input: &str) -> Result<(String, String)> {
        let args = args(line);
        print(&args, args.source()?, "zoo", input)
    }

    #[test]
    fn exactly_one_source_is_asked_for() {
        for line in [
            "pets",
            "--template --open-api a pets",
            "--proto a --open-api a pets",
        ] {
            assert_eq!(
                args(line).source().unwrap_err().to_string(),
                "You must specify exactly one of --template or --open-api or --proto"
            );
        }
    }

    #[test]
    fn names_are_refused_in_the_words_of_kubernetes() {
        let error = check_names("Pets", "zoo").unwrap_err().to_string();
        assert!(
            error.starts_with("invalid service \"Pets\": [a DNS-1035 label must"),
            "{error}"
        );
        let error = check_names("pets", "zoo.x").unwrap_err().to_string();
        assert!(
            error.starts_with("invalid namespace \"zoo.x\": [a lowercase RFC 1123 label must"),
            "{error}"
        );
    }

    #[test]
    fn an_openapi_document_becomes_a_manifest() {
        let document = "openapi: 3.0.0\nservers: [{url: /v1}]\npaths: {/a: {get: {}}}";
        let (text, notes) = profile("--open-api - pets", document).unwrap();
        assert_eq!(
            text,
            "\
apiVersion: linkerd.io/v1alpha2
kind: ServiceProfile
metadata:
  name: pets.zoo.svc.cluster.local
  namespace: zoo
spec:
  routes:
  - condition:
      method: GET
      pathRegex: /v1/a
    name: GET /v1/a
"
        );
        assert_eq!(
            notes,
            "standard input:2:12: note: paths begin with /v1, from the first server; \
             --base-path replaces it\n"
        );
        let (text, notes) = profile("--base-path / --open-api - -o json pets", document).unwrap();
        assert!(text.contains(r#""name": "GET /a""#), "{text}");
        assert_eq!(notes, "");
    }

    #[test]
    fn what_is_lost_is_told_and_under_strict_refused() {
        let document = "openapi: 3.0.0\npaths: {/a: {gett: {}}}";
        let (_, notes) = profile("--open-api a.yaml pets", document).unwrap();
        assert!(notes.starts_with("a.yaml:2:14: warning: "), "{notes}");
        let error = profile("--strict --open-api a.yaml pets", document).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.yaml:2:14: \"gett\" is not a known method, did you mean `get`?"
        );
    }

    #[test]
    fn protobuf_and_template_become_manifests() {
        let source = "package a; service S { rpc M (I) returns (O); }";
        let (text, _) = profile("--proto - pets", source).unwrap();
        assert!(text.contains(r"pathRegex: /a\.S/M"), "{text}");
        let (text, _) = profile("--template pets", "").unwrap();
        assert!(text.contains("name: pets.zoo.svc.cluster.local"), "{text}");
    }
}
