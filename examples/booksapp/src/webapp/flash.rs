//! A message that survives one redirect, in a cookie.

use axum::{
    http::{
        HeaderMap, StatusCode,
        header::{COOKIE, LOCATION, SET_COOKIE},
    },
    response::{AppendHeaders, Html, IntoResponse, Response},
};
use maud::Markup;

const NAME: &str = "flash=";

/// Answers 303 to `location`, with `message` for the page that is found there.
pub(crate) fn redirect(location: &str, message: &str) -> Response {
    let cookie = format!("{NAME}{}; Path=/; HttpOnly; SameSite=Lax", encode(message));
    (
        StatusCode::SEE_OTHER,
        [(LOCATION, location.to_owned()), (SET_COOKIE, cookie)],
    )
        .into_response()
}

/// Renders a page with the message, if there is one, and forgets it.
pub(crate) fn show(headers: &HeaderMap, page: impl FnOnce(Option<&str>) -> Markup) -> Response {
    let message = read(headers);
    let body = Html(page(message.as_deref()).into_string());
    match message {
        None => body.into_response(),
        Some(_) => {
            let forget = format!("{NAME}; Path=/; Max-Age=0");
            (AppendHeaders([(SET_COOKIE, forget)]), body).into_response()
        }
    }
}

fn read(headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get(COOKIE)?.to_str().ok()?;
    let value = cookies
        .split(';')
        .find_map(|cookie| cookie.trim().strip_prefix(NAME))?;
    Some(decode(value)).filter(|message| !message.is_empty())
}

/// Percent-encodes all but letters, digits and dashes.
fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let pair = if byte == b'%' {
            bytes.next().zip(bytes.next())
        } else {
            None
        };
        let hex = pair.and_then(|(high, low)| {
            let digits = [high, low];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        });
        out.push(hex.unwrap_or(byte));
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_cookie() {
        let message = "Book create failed: title can't be blank; ümlauts & more";
        let rsp = redirect("/", message);
        let cookie = rsp.headers()[SET_COOKIE].to_str().unwrap();
        let value = cookie.split(';').next().unwrap();
        let headers =
            HeaderMap::from_iter([(COOKIE, format!("other=1; {value}").parse().unwrap())]);
        assert_eq!(read(&headers).as_deref(), Some(message));
    }

    #[test]
    fn a_broken_cookie_is_shown_as_it_is() {
        assert_eq!(decode("50%"), "50%");
        assert_eq!(decode("%zz"), "%");
    }
}
