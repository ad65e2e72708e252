use axum::{
    Json,
    body::to_bytes,
    http::{Method, StatusCode, Uri, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use std::fmt;

/// A "no", with its status and the reason: `{"error": "..."}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    status: StatusCode,
    reason: String,
}

impl ApiError {
    /// A "no" of this status.
    pub fn new(status: StatusCode, reason: impl fmt::Display) -> Self {
        Self {
            status,
            reason: reason.to_string(),
        }
    }

    /// 400: the question makes no sense.
    pub fn bad_request(reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }

    /// 404: what is asked for is not there.
    pub fn not_found(reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::NOT_FOUND, reason)
    }

    /// 422: it was understood, and is not valid.
    pub fn invalid(reason: impl fmt::Display) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, reason)
    }

    /// 500: our fault, or the machine's. The whole chain of causes is told: who may ask is on
    /// this machine.
    pub fn internal(error: &anyhow::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format_args!("{error:#}"))
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = mesh_api::ErrorBody { error: self.reason };
        (self.status, Json(body)).into_response()
    }
}

pub(super) async fn no_such_path(uri: Uri) -> ApiError {
    ApiError::not_found(format_args!("there is no {}", uri.path()))
}

pub(super) async fn no_such_method(method: Method, uri: Uri) -> ApiError {
    let reason = format!("{} does not take {method}", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, reason)
}

/// The longest reason that is passed on.
const MAX_REASON: usize = 4 << 10;

/// Gives our form to what axum itself refuses: a query, path or body that cannot be read.
pub(super) async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_plain = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/plain"));
    if !is_plain || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let reason = to_bytes(response.into_body(), MAX_REASON).await;
    let reason = String::from_utf8_lossy(&reason.unwrap_or_default()).into_owned();
    ApiError { status, reason }.into_response()
}
