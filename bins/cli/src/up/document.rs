//! mesh.yaml as people write it: strings, options, and where each was written.

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_saphyr::Spanned;
use std::{collections::BTreeMap, fmt};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    pub(crate) namespace: Option<Spanned<String>>,
    pub(crate) build: Option<String>,
    #[serde(default)]
    pub(crate) workloads: BTreeMap<String, Spanned<WorkloadDocument>>,
    #[serde(default)]
    pub(crate) manifests: Vec<Spanned<String>>,
}

/// One entry of `workloads`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WorkloadDocument {
    pub(crate) command: Option<Spanned<CommandDocument>>,
    pub(crate) dir: Option<String>,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, Spanned<String>>,
    pub(crate) stdin: Option<bool>,
    pub(crate) service: Option<Spanned<String>>,
    pub(crate) port: Option<Spanned<u16>>,
    pub(crate) listen: Option<Spanned<u16>>,
    pub(crate) host_port: Option<Spanned<HostPortDocument>>,
    #[serde(default)]
    pub(crate) opaque: bool,
    #[serde(default)]
    pub(crate) ports: Vec<Spanned<PortDocument>>,
    pub(crate) replicas: Option<Spanned<u32>>,
    pub(crate) ready: Option<Spanned<String>>,
    #[serde(default)]
    pub(crate) depends_on: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) upstreams: BTreeMap<String, Spanned<UpstreamDocument>>,
}

/// One entry of `ports`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortDocument {
    pub(crate) name: Option<Spanned<String>>,
    pub(crate) port: Spanned<u16>,
    pub(crate) listen: Option<Spanned<u16>>,
    pub(crate) host_port: Option<Spanned<HostPortDocument>>,
    #[serde(default)]
    pub(crate) opaque: bool,
}

/// `command`: a list, or one string for the shell.
#[derive(Debug)]
pub(crate) enum CommandDocument {
    List(Vec<String>),
    Shell(String),
}

/// `host_port`: a port, or `false` for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HostPortDocument {
    Port(u16),
    None,
}

/// An entry of `upstreams`: an authority, or a mapping of `to` and `as`.
#[derive(Debug)]
pub(crate) struct UpstreamDocument {
    pub(crate) to: String,
    pub(crate) form: Form,
}

/// Format of the value of an upstream's environment variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// `http://127.0.0.1:PORT`
    #[default]
    Url,
    /// `127.0.0.1:PORT`
    HostPort,
}

impl<'de> Deserialize<'de> for CommandDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Command;

        impl<'de> Visitor<'de> for Command {
            type Value = CommandDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command: a list of strings, or one string for sh -c")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<CommandDocument, E> {
                Ok(CommandDocument::Shell(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CommandDocument, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(CommandDocument::List(list))
            }
        }

        deserializer.deserialize_any(Command)
    }
}

impl<'de> Deserialize<'de> for HostPortDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HostPort;

        impl Visitor<'_> for HostPort {
            type Value = HostPortDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port between 1 and 65535, or false")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<HostPortDocument, E> {
                if value {
                    return Err(E::invalid_value(de::Unexpected::Bool(value), &self));
                }
                Ok(HostPortDocument::None)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<HostPortDocument, E> {
                u16::try_from(value)
                    .ok()
                    .filter(|port| *port > 0)
                    .map(HostPortDocument::Port)
                    .ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(value), &self))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<HostPortDocument, E> {
                match u64::try_from(value) {
                    Ok(value) => self.visit_u64(value),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(value), &self)),
                }
            }
        }

        deserializer.deserialize_any(HostPort)
    }
}

impl<'de> Deserialize<'de> for UpstreamDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            to: String,
            #[serde(default, rename = "as")]
            form: Form,
        }

        struct Upstream;

        impl<'de> Visitor<'de> for Upstream {
            type Value = UpstreamDocument;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a service like \"books:7002\", or { to: \"books:7002\", as: hostport }",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<UpstreamDocument, E> {
                Ok(UpstreamDocument {
                    to: text.to_owned(),
                    form: Form::Url,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UpstreamDocument, A::Error> {
                let Long { to, form } = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(UpstreamDocument { to, form })
            }
        }

        deserializer.deserialize_any(Upstream)
    }
}
