//! The JSON API that `authors` and `books` share: a collection at `/NAME.json`, its members at
//! `/NAME/{id}.json`.

use crate::store::{Object, Store};
use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::Value;
use std::{collections::BTreeMap, future::Future, sync::Arc};

/// Validation errors of an object, by field.
pub(crate) type Problems = BTreeMap<&'static str, Vec<String>>;

/// Name, fields and rules of a collection.
pub(crate) trait Collection: Send + Sync + 'static {
    /// The plural, as in the path.
    const NAME: &'static str;

    fn store(&self) -> &Store;

    /// Checks an object before it is written; `id` is its own, when it has one.
    fn check(
        &self,
        id: Option<i64>,
        object: &Object,
    ) -> impl Future<Output = Result<Problems, Failure>> + Send;

    /// Called before a member is removed.
    fn before_delete(&self, _id: i64) -> impl Future<Output = Result<(), Failure>> + Send {
        async { Ok(()) }
    }
}

/// Something that is not the client's fault.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl<E: std::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        eprintln!("{}", self.0);
        (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(serde_json::json!({ "error": self.0 })),
        )
            .into_response()
    }
}

/// The routes of `collection`.
pub(crate) fn router<C: Collection>(collection: C) -> Router {
    Router::new()
        .route("/ping", get(|| async { "pong" }))
        .route(
            &format!("/{}.json", C::NAME),
            get(list::<C>).post(create::<C>),
        )
        .route(
            &format!("/{}/{{file}}", C::NAME),
            get(show::<C>).put(update::<C>).delete(delete::<C>),
        )
        .with_state(Arc::new(collection))
}

type Reply = Result<Response, Failure>;

async fn list<C: Collection>(
    State(it): State<Arc<C>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Reply {
    let order = query
        .iter()
        .find(|(name, _)| name == "order")
        .map(|(_, value)| value.as_str());
    Ok(Json(it.store().list(&query, order)?).into_response())
}

async fn show<C: Collection>(State(it): State<Arc<C>>, Path(file): Path<String>) -> Reply {
    let found = id(&file)
        .map(|id| it.store().get(id))
        .transpose()?
        .flatten();
    Ok(found.map_or_else(not_found, |object| Json(object).into_response()))
}

async fn create<C: Collection>(State(it): State<Arc<C>>, body: Bytes) -> Reply {
    let Ok(object) = serde_json::from_slice::<Object>(&body) else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let problems = it.check(None, &object).await?;
    if !problems.is_empty() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(problems)).into_response());
    }
    let id = it.store().insert(&object)?;
    Ok(located::<C>(StatusCode::CREATED, id, it.store().get(id)?))
}

async fn update<C: Collection>(
    State(it): State<Arc<C>>,
    Path(file): Path<String>,
    body: Bytes,
) -> Reply {
    let Ok(changes) = serde_json::from_slice::<Object>(&body) else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let Some(id) = id(&file) else {
        return Ok(not_found());
    };
    let Some(mut object) = it.store().get(id)? else {
        return Ok(not_found());
    };
    object.extend(changes);
    let problems = it.check(Some(id), &object).await?;
    if !problems.is_empty() {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(problems)).into_response());
    }
    it.store().update(id, &object)?;
    Ok(located::<C>(StatusCode::OK, id, it.store().get(id)?))
}

async fn delete<C: Collection>(State(it): State<Arc<C>>, Path(file): Path<String>) -> Reply {
    let Some(id) = id(&file) else {
        return Ok(not_found());
    };
    if it.store().get(id)?.is_none() {
        return Ok(not_found());
    }
    it.before_delete(id).await?;
    it.store().delete(id)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn id(file: &str) -> Option<i64> {
    file.strip_suffix(".json")?.parse().ok()
}

fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

fn located<C: Collection>(status: StatusCode, id: i64, object: Option<Object>) -> Response {
    let location = format!("/{}/{id}.json", C::NAME);
    (status, [(LOCATION, location)], Json(object)).into_response()
}

/// The text in `field`, if there is any but blanks.
pub(crate) fn text<'a>(object: &'a Object, field: &str) -> Option<&'a str> {
    object
        .get(field)
        .and_then(Value::as_str)
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Database, Schema};
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;

    const SCHEMA: Schema = Schema {
        table: "things",
        columns: &["name", "size"],
        create: "CREATE TABLE things (id INTEGER PRIMARY KEY, name TEXT, size INTEGER, updated_at TEXT)",
        seed: "INSERT INTO things (name, size) VALUES ('b', 1), ('A', 2)",
    };

    struct Things(Store);

    impl Collection for Things {
        const NAME: &'static str = "things";

        fn store(&self) -> &Store {
            &self.0
        }

        async fn check(&self, _: Option<i64>, object: &Object) -> Result<Problems, Failure> {
            let named = text(object, "name").is_some();
            Ok(if named {
                Problems::new()
            } else {
                Problems::from([("name", vec!["is blank".to_owned()])])
            })
        }
    }

    async fn ask(router: &Router, method: &str, path: &str, body: &str) -> (u16, String, String) {
        let req = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body.to_owned()))
            .unwrap();
        let rsp = router.clone().oneshot(req).await.unwrap();
        let status = rsp.status().as_u16();
        let location = rsp
            .headers()
            .get(LOCATION)
            .map_or_else(String::new, |v| v.to_str().unwrap().to_owned());
        let body = axum::body::to_bytes(rsp.into_body(), 1 << 16)
            .await
            .unwrap();
        (status, location, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_collection_answers_as_the_demo_application_does() {
        let database = Database::default();
        let things = router(Things(Store::open(SCHEMA, &database).unwrap()));

        let (status, _, body) =
            ask(&things, "GET", "/things.json?order=lower(name)&size=2", "").await;
        assert_eq!(
            (status, body.contains("\"A\""), body.contains("\"b\"")),
            (200, true, false)
        );
        let injected = "/things.json?order=name;DROP%20TABLE%20things&name%20%3D%201%20OR%201=1";
        assert_eq!(ask(&things, "GET", injected, "").await.0, 200);

        let (status, location, _) = ask(
            &things,
            "POST",
            "/things.json",
            r#"{"name":"c","size":3,"x":1}"#,
        )
        .await;
        assert_eq!((status, location.as_str()), (201, "/things/3.json"));
        assert_eq!(
            ask(&things, "POST", "/things.json", r#"{"size":3}"#)
                .await
                .0,
            422
        );
        assert_eq!(
            ask(&things, "POST", "/things.json", "not json").await.0,
            400
        );

        assert_eq!(ask(&things, "HEAD", "/things/3.json", "").await.0, 200);
        let (status, _, body) = ask(&things, "PUT", "/things/3.json", r#"{"name":"d"}"#).await;
        assert_eq!(
            (status, body.contains("\"d\""), body.contains("3")),
            (200, true, true)
        );
        assert_eq!(ask(&things, "DELETE", "/things/3.json", "").await.0, 204);
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            assert_eq!(
                ask(&things, method, "/things/3.json", "{}").await.0,
                404,
                "{method}"
            );
        }
        assert_eq!(ask(&things, "GET", "/things/three.json", "").await.0, 404);
    }
}
