#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod place;
pub mod plain;
mod print;

pub use self::{
    error::{Error, did_you_mean},
    place::{Step, locate},
    print::to_string,
};

use serde::de::{DeserializeOwned, DeserializeSeed};
use serde_saphyr::{Options, options::DuplicateKeyPolicy, with_deserializer_from_str_with_options};

/// Reads a text of one document; `source` is what errors call it.
///
/// # Errors
///
/// [`Error`] with the place of what is not YAML, or not a `T`.
pub fn from_str<T: DeserializeOwned>(text: &str, source: &str) -> Result<T, Error> {
    let mut documents = sections(text).filter(|section| !section.is_empty());
    let first = documents.next();
    if let Some(second) = documents.next() {
        return Err(Error::new(
            source,
            Some((second.line, 1)),
            "a second document begins here; one was expected".into(),
        ));
    }
    first.unwrap_or_else(|| Section::whole(text)).parse(source)
}

/// Reads a text of any number of documents; empty ones are left out.
///
/// # Errors
///
/// [`Error`] with the place of the first thing that is not YAML, or not a `T`.
pub fn documents<T: DeserializeOwned>(text: &str, source: &str) -> Result<Vec<Document<T>>, Error> {
    sections(text)
        .filter(|section| !section.is_empty())
        .map(|section| {
            Ok(Document {
                value: section.parse(source)?,
                line: section.line,
            })
        })
        .collect()
}

/// One document of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document<T> {
    /// The deserialized value.
    pub value: T,
    /// The line it begins at, from one.
    pub line: u64,
}

/// The text of one document among several, not yet read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section<'a> {
    text: &'a str,
    line: u64,
}

/// Divides a text at its document markers.
pub fn sections(text: &str) -> impl Iterator<Item = Section<'_>> {
    let mut rest = Some(text);
    let mut next = 1;
    std::iter::from_fn(move || {
        let text = rest?;
        let first = next;
        let mut end = 0;
        for line in text.split_inclusive('\n') {
            next += 1;
            end += line.len();
            if !line.starts_with(['-', '.']) {
                continue;
            }
            let content = line.trim_end();
            // A marker may only stand at the beginning of a line, and nothing else may: not
            // even in a block scalar does a document contain one.
            let is_marker = |marker| {
                content
                    .strip_prefix(marker)
                    .is_some_and(|rest: &str| rest.is_empty() || rest.starts_with([' ', '\t']))
            };
            if is_marker("---") && end > line.len() {
                // Text after the marker, on its line, belongs to the next document.
                end -= line.len();
                next -= 1;
                break;
            }
            if is_marker("...") {
                break;
            }
        }
        let (section, after) = text.split_at(end);
        rest = (!after.is_empty()).then_some(after);
        Some(Section {
            text: section,
            line: first,
        })
    })
}

impl<'a> Section<'a> {
    /// All of `text`, as one document.
    pub fn whole(text: &'a str) -> Self {
        Self { text, line: 1 }
    }

    /// Reads it; `source` is what errors call the whole text.
    ///
    /// # Errors
    ///
    /// [`Error`] with the place, counted from the beginning of the whole text.
    pub fn parse<T: DeserializeOwned>(&self, source: &str) -> Result<T, Error> {
        serde_saphyr::from_str_with_options(self.text, options())
            .map_err(|error| Error::of(&error, source, self.line - 1))
    }

    /// Reads it with `seed`, whose value may borrow from the text.
    ///
    /// # Errors
    ///
    /// [`Error`] with the place, counted from the beginning of the whole text.
    pub fn parse_seed<S: DeserializeSeed<'a>>(
        &self,
        source: &str,
        seed: S,
    ) -> Result<S::Value, Error> {
        self.parse_seed_with(options(), source, seed)
    }

    /// Reads it with `seed`, which receives each member of objects with duplicate keys.
    ///
    /// # Errors
    ///
    /// [`Error`] as [`parse_seed`](Self::parse_seed) returns it, but for duplicate keys.
    pub fn parse_seed_with_duplicates<S: DeserializeSeed<'a>>(
        &self,
        source: &str,
        seed: S,
    ) -> Result<S::Value, Error> {
        let mut options = options();
        options.duplicate_keys = DuplicateKeyPolicy::PassThrough;
        self.parse_seed_with(options, source, seed)
    }

    fn parse_seed_with<S: DeserializeSeed<'a>>(
        &self,
        options: Options,
        source: &str,
        seed: S,
    ) -> Result<S::Value, Error> {
        with_deserializer_from_str_with_options(self.text, options, |deserializer| {
            seed.deserialize(deserializer)
        })
        .map_err(|error| Error::of(&error, source, self.line - 1))
    }

    /// Returns true if the section has only comments and markers.
    pub fn is_empty(&self) -> bool {
        self.text.lines().all(|line| {
            let line = line.trim();
            line.is_empty() || line.starts_with('#') || line == "---" || line == "..."
        })
    }

    /// Its text, marker included.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The line it begins at, from one.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns line and column of the value at `path`, or of the nearest value around it.
    pub fn locate(&self, path: &[Step<'_>]) -> Option<(u64, u64)> {
        locate(self.text, path).map(|(line, column)| (line + self.line - 1, column))
    }
}

/// Deepest nesting of lists and objects. Each level takes stack: without optimisation, 80 levels
/// take 2 MB, the default stack of a thread.
pub const MAX_DEPTH: usize = 64;

/// Limits against hostile files. A manifest is bounded by the limit of etcd, an OpenAPI document by
/// the largest published ones (13 MB, half a million nodes), each with room to spare.
pub(crate) fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(128 << 20),
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_depth: MAX_DEPTH,
            max_documents: 1_000,
            max_aliases: 10_000,
            max_anchors: 10_000,
            max_merge_keys: 10_000,
            max_total_scalar_bytes: 128 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 200_000,
        },
        duplicate_keys: DuplicateKeyPolicy::Error,
        with_snippet: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default, rename_all = "camelCase")]
    struct Spec {
        #[serde(rename = "routes")]
        _routes: Vec<Route>,
        #[serde(rename = "retryBudget")]
        _retry_budget: Option<Budget>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Route {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "condition")]
        _condition: serde_json::Value,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Budget {
        #[serde(rename = "minRetriesPerSecond")]
        _min_retries_per_second: u32,
    }

    #[test]
    fn documents_are_divided_at_their_markers() {
        let text = "# head\n---\na: 1\n---\n\n--- # note\nb: |\n  ---x\n...\n---\nc: 1\n";
        let found: Vec<_> = sections(text)
            .filter(|section| !section.is_empty())
            .map(|section| (section.line(), section.text()))
            .collect();
        assert_eq!(
            found,
            [
                (2, "---\na: 1\n"),
                (6, "--- # note\nb: |\n  ---x\n...\n"),
                (10, "---\nc: 1\n"),
            ]
        );
    }

    #[test]
    fn errors_have_a_place_in_the_whole_text() {
        let text = "routes: []\n---\nroutes:\n- name: a\n  conditon: {}\n";
        let error = documents::<Spec>(text, "sp.yaml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "sp.yaml:5:3: unknown field `conditon`, did you mean `condition`?"
        );
        let error = from_str::<Spec>("routes: []\nroutes: []\n", "sp.yaml").unwrap_err();
        assert_eq!(error.to_string(), "sp.yaml:2:1: duplicate key `routes`");
        let error = from_str::<Spec>("routes: [}\n", "sp.yaml").unwrap_err();
        assert!(error.to_string().starts_with("sp.yaml:1:"), "{error}");
        let error = from_str::<Spec>("a: 1\n---\nb: 1\n", "sp.yaml").unwrap_err();
        assert!(
            error.to_string().starts_with("sp.yaml:2:1: a second"),
            "{error}"
        );
        let error = from_str::<Spec>("routes: 7\n", "sp.yaml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "sp.yaml:1:9: a list was expected here, lines of - VALUE"
        );
        let text = "retryBudget: {minRetriesPerSecond: -1}\n";
        let error = from_str::<Spec>(text, "sp.yaml").unwrap_err();
        assert_eq!(
            error.to_string(),
            "sp.yaml:1:36: a whole number, not below zero, was expected here"
        );
        let error = from_str::<Spec>("text\n", "sp.yaml").unwrap_err();
        assert!(
            error.to_string().starts_with("sp.yaml:1:1: an object"),
            "{error}"
        );
    }

    #[test]
    fn what_is_nested_too_deep_is_refused_long_before_the_stack_ends() {
        let read = || {
            for (open, close) in [("[", "]"), ("{a: ", "}")] {
                let nested = |depth| open.repeat(depth) + &close.repeat(depth);
                from_str::<serde_json::Value>(&nested(MAX_DEPTH), "a.yaml").unwrap();
                for depth in [MAX_DEPTH + 1, 100_000] {
                    let read = from_str::<serde_json::Value>(&nested(depth), "a.yaml");
                    let error = read.unwrap_err().to_string();
                    assert!(
                        error.ends_with("more than 64 lists and objects within each other"),
                        "{error}"
                    );
                }
            }
        };
        // The default stack of a thread.
        let thread = std::thread::Builder::new().stack_size(2 << 20);
        thread.spawn(read).unwrap().join().unwrap();
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let aliases = format!("*a{}, ", i - 1).repeat(10);
            text.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        assert!(from_str::<serde_json::Value>(&text, "bomb.yaml").is_err());
    }

    #[test]
    fn a_value_is_found_by_its_path() {
        let text = "spec:\n  routes:\n  - name: a\n  - name: b\n    timeout: 7\n";
        let section = sections(text).next().unwrap();
        let path = [
            Step::Member("spec"),
            Step::Member("routes"),
            Step::Item(1),
            Step::Member("timeout"),
        ];
        assert_eq!(section.locate(&path), Some((5, 14)));
        // Nothing at the full path: the value around it.
        let path = [Step::Member("spec"), Step::Member("retryBudget")];
        assert_eq!(section.locate(&path), Some((2, 3)));
    }
}
