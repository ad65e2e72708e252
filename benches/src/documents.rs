//! The OpenAPI documents that are measured: real ones, if they are beside the repository, else
//! one of the same shape made here.

use std::{fmt::Write, path::PathBuf, process::Command};

/// A document and what to call it.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its name in a table.
    pub name: &'static str,
    /// Its text, as JSON.
    pub json: String,
}

/// GitHub's and Kubernetes', or the stand-in for both.
pub fn real() -> Vec<Document> {
    let found: Vec<_> = [
        ("GitHub", "github.openapi-3.0.json.gz"),
        ("Kubernetes", "kubernetes-1.13.swagger-2.0.json.gz"),
    ]
    .into_iter()
    .filter_map(|(name, file)| {
        let json = unpack(file)?;
        Some(Document { name, json })
    })
    .collect();
    if found.is_empty() {
        return vec![made(1_000)];
    }
    found
}

fn unpack(file: &str) -> Option<String> {
    let root = env!("CARGO_MANIFEST_DIR");
    let path: PathBuf = [root, "../../shared/data/openapi", file].iter().collect();
    let out = Command::new("gunzip").arg("-c").arg(path).output().ok()?;
    let text = String::from_utf8(out.stdout).ok()?;
    (out.status.success() && !text.is_empty()).then_some(text)
}

/// A document of so many paths, with two operations each and a schema for every one of them.
pub fn made(paths: usize) -> Document {
    let mut json =
        r#"{"openapi":"3.0.3","info":{"title":"made","version":"1"},"paths":{"#.to_owned();
    for n in 0..paths {
        let comma = if n == 0 { "" } else { "," };
        let operation = format!(
            r##"{{"operationId":"op{n}","summary":"Does the {n}th thing","parameters":[{{"name":"id",
            "in":"path","required":true,"schema":{{"type":"string"}}}}],"responses":{{"200":
            {{"description":"done","content":{{"application/json":{{"schema":{{"$ref":
            "#/components/schemas/s{n}"}}}}}}}},"404":{{"description":"not found"}}}}}}"##
        );
        let _ = write!(
            json,
            r#"{comma}"/v1/things-{n}/{{id}}/parts":{{"get":{operation},"put":{operation}}}"#
        );
    }
    json.push_str(r#"},"components":{"schemas":{"#);
    for n in 0..paths {
        let comma = if n == 0 { "" } else { "," };
        let _ = write!(
            json,
            r#"{comma}"s{n}":{{"type":"object","properties":{{"id":{{"type":"string",
            "description":"What it is called, in every place that names it."}},"size":
            {{"type":"integer","format":"int64","example":{n}}}}}}}"#
        );
    }
    json.push_str("}}}");
    Document { name: "made", json }
}
