//! Tokens: JSON Web Tokens (RFC 7519) signed with HS256, valid for one minute.

use axum::{
    Json, Router,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// Key of the demo. It protects nothing.
const KEY: &[u8] = b"podinfo-demo";
/// Seconds that a token is valid.
const LIFETIME: u64 = 60;
const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/token", post(issue))
        .route("/token/validate", get(validate))
}

async fn issue(name: String) -> Json<Value> {
    let name = if name.is_empty() {
        "anonymous".to_owned()
    } else {
        name
    };
    let expires_at = now() + LIFETIME;
    let claims = json!({ "iss": "podinfo", "name": name, "exp": expires_at });
    Json(json!({ "token": sign(&claims), "expires_at": expires_at }))
}

async fn validate(headers: HeaderMap) -> Response {
    let token = headers.get(header::AUTHORIZATION);
    let token = token.and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match token.and_then(|token| verify(token, now())) {
        Some(claims) => Json(json!({
            "token_name": claims["name"],
            "expires_at": claims["exp"],
        }))
        .into_response(),
        None => (
            StatusCode::UNAUTHORIZED,
            "the token is absent, invalid or expired\n",
        )
            .into_response(),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

fn mac(text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::new_from_slice(KEY).expect("a key of any length is valid");
    mac.update(text.as_bytes());
    mac
}

fn sign(claims: &Value) -> String {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(HEADER.as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let signature = encode(&mac(&signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// Returns the claims of a token whose signature is ours and whose time has not passed.
fn verify(token: &str, now: u64) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    mac(signed).verify_slice(&signature).ok()?;
    let (_, claims) = signed.split_once('.')?;
    let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    (claims["exp"].as_u64()? > now).then_some(claims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_valid_until_its_time_and_only_with_its_signature() {
        let token = sign(&json!({ "name": "test", "exp": 100 }));
        assert_eq!(verify(&token, 99).unwrap()["name"], "test");
        assert_eq!(verify(&token, 100), None);
        let other = sign(&json!({ "name": "other", "exp": 100 }));
        let (signed, _) = other.rsplit_once('.').unwrap();
        let (_, signature) = token.rsplit_once('.').unwrap();
        assert_eq!(verify(&format!("{signed}.{signature}"), 0), None);
        for bad in ["", ".", "a.b.c", "a.b"] {
            assert_eq!(verify(bad, 0), None, "{bad}");
        }
    }
}
