//! Queries of a Prometheus server.

use super::http::HttpClient;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::{Request, header};
use serde::Deserialize;
use std::time::Duration;

/// Time limit of a query.
const LIMIT: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const MAX_ANSWER: usize = 1 << 20;

/// Answer of `/api/v1/query`.
#[derive(Debug, Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    error: String,
    data: Option<Data>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", tag = "resultType", content = "result")]
enum Data {
    Vector(Vec<Sample>),
    Scalar((f64, String)),
}

#[derive(Debug, Deserialize)]
struct Sample {
    value: (f64, String),
}

/// Asks the server at `address` for the value of `query`: that of the last element, as Flagger
/// takes it, or none if there is none.
///
/// # Errors
///
/// If the server does not answer in time, or with anything else than a vector or a scalar.
pub(super) async fn query(
    client: &HttpClient,
    address: &str,
    namespace: &str,
    query: &str,
) -> Result<Option<f64>> {
    let query: Vec<&str> = query.split_whitespace().collect();
    let query = serde_urlencoded::to_string([("query", query.join(" "))])?;
    let url = format!("{}/api/v1/query?{query}", address.trim_end_matches('/'));
    let request = Request::get(url)
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new())?;
    let response = client.send(request, namespace, LIMIT, MAX_ANSWER).await;
    let response = response.with_context(|| format!("Prometheus at {address}"))?;
    if response.is_cut {
        bail!("Prometheus at {address}: the answer is longer than {MAX_ANSWER} bytes");
    }
    value(&response.body).with_context(|| format!("Prometheus at {address}: {}", response.status))
}

fn value(body: &[u8]) -> Result<Option<f64>> {
    let answer: Answer = serde_json::from_slice(body).context("the answer is no result")?;
    if answer.status != "success" {
        bail!("{}", answer.error);
    }
    let value = match answer.data.context("the answer has no data")? {
        Data::Vector(samples) => samples.into_iter().next_back().map(|it| it.value.1),
        Data::Scalar((_, value)) => Some(value),
    };
    let Some(value) = value else {
        return Ok(None);
    };
    let number: f64 = value
        .parse()
        .with_context(|| format!("{value:?} is no number"))?;
    Ok(Some(number).filter(|number| !number.is_nan()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_counts_and_nan_is_none() {
        for (body, expected) in [
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#,
                Ok(None),
            ),
            (
                r#"{"status":"success","data":{"resultType":"vector","result":[
                   {"metric":{"a":"b"},"value":[1.5,"1"]},{"metric":{},"value":[1,"2.5"]}]}}"#,
                Ok(Some(2.5)),
            ),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"3"]}}"#,
                Ok(Some(3.0)),
            ),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#,
                Ok(None),
            ),
            (
                r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
                Err("parse error"),
            ),
            (
                r#"{"status":"success","data":{"resultType":"string","result":[1,"a"]}}"#,
                Err("no result"),
            ),
            (
                r#"{"status":"success","data":{"resultType":"scalar","result":[1,"a"]}}"#,
                Err("no number"),
            ),
            ("<html>", Err("no result")),
            ("", Err("no result")),
        ] {
            match (value(body.as_bytes()), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{body}"),
                (Err(error), Err(reason)) => {
                    assert!(format!("{error:#}").contains(reason), "{body}: {error:#}");
                }
                (found, _) => panic!("{body}: {found:?}"),
            }
        }
    }
}
