//! `mesh error-service`: a program that answers every request with one status.

use crate::output::Refusal;
use anyhow::{Context, Result};
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr},
    process::ExitCode,
    time::Duration,
};
use tokio::net::TcpListener;

/// Time limit for the head of a request.
const HEAD: Duration = Duration::from_secs(30);

/// Pause after a failed `accept`.
const PAUSE: Duration = Duration::from_millis(100);

/// Answer every request with the same status, to try out what failures do
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mesh error-service --status 500 --port 7002\n  \
    mesh run --name error-injector --port 7002 -- mesh error-service"
)]
pub(crate) struct Args {
    /// The status of every response, from 200 to 599
    #[arg(long, value_name = "STATUS", default_value_t = 500, value_parser = clap::value_parser!(u16).range(200..600))]
    status: u16,
    /// The port to listen on; without it, $PORT
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    addr: IpAddr,
}

pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let port = match args.port {
        Some(port) => port,
        None => from_environment()?,
    };
    let status = StatusCode::from_u16(args.status)?;
    let listener = TcpListener::bind((args.addr, port)).await;
    let listener = listener.with_context(|| format!("cannot listen on {}:{port}", args.addr))?;
    eprintln!(
        "Answering every request on {} with {status}.",
        listener.local_addr()?
    );
    serve(listener, status).await
}

fn from_environment() -> Result<u16, Refusal> {
    let text = std::env::var("PORT").unwrap_or_default();
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err("name the port: --port PORT, or the environment variable PORT".into()),
    }
}

/// Serves until a signal ends the process.
async fn serve(listener: TcpListener, status: StatusCode) -> ! {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            let service = service_fn(move |_: Request<Incoming>| async move {
                Ok::<_, Infallible>(answer(status))
            });
            let mut builder = Builder::new(TokioExecutor::new());
            let mut http1 = builder.http1();
            http1.timer(TokioTimer::new()).header_read_timeout(HEAD);
            // An error is the client's.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// The status, with a body that names it for statuses that may have one.
fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let has_body = status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED;
    let body = if has_body {
        format!("{status}\n")
    } else {
        String::new()
    };
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    if has_body {
        let text = HeaderValue::from_static("text/plain");
        response.headers_mut().insert(CONTENT_TYPE, text);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn a_status_that_may_have_a_body_is_named_in_it() {
        let body = async |status| {
            let body = answer(status).into_body().collect().await.unwrap();
            String::from_utf8(body.to_bytes().to_vec()).unwrap()
        };
        assert_eq!(
            body(StatusCode::INTERNAL_SERVER_ERROR).await,
            "500 Internal Server Error\n"
        );
        assert_eq!(body(StatusCode::NO_CONTENT).await, "");
    }
}
