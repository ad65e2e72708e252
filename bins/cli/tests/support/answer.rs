//! The program that is restarted while it is called: answers with what it was asked, over HTTP/1
//! and HTTP/2, and writes down every start and every POST before it answers. On SIGTERM it dies.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    env,
    error::Error,
    fs::{File, OpenOptions},
    io::Write as _,
    sync::Arc,
};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = env::var("PORT")?.parse()?;
    // One write appends one line, whoever else writes.
    let appended = |name| OpenOptions::new().create(true).append(true).open(name);
    let posts = Arc::new(appended("posts")?);
    appended("starts")?.write_all(b"start\n")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    loop {
        let (socket, _) = listener.accept().await?;
        let _ = socket.set_nodelay(true);
        let posts = posts.clone();
        tokio::spawn(async move {
            let service = service_fn(move |req| answer(req, posts.clone()));
            let builder = auto::Builder::new(TokioExecutor::new());
            let conn = builder.serve_connection(TokioIo::new(socket), service);
            if let Err(error) = conn.await {
                eprintln!("{error}");
            }
        });
    }
}

async fn answer(
    req: Request<Incoming>,
    posts: Arc<File>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let what = format!("{} {} ", req.method(), req.uri().path());
    let is_post = req.method() == Method::POST;
    let body = match req.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            eprintln!("half a request: {what}{error}");
            let mut rsp = Response::new(Full::default());
            *rsp.status_mut() = http::StatusCode::BAD_REQUEST;
            return Ok(rsp);
        }
    };
    if is_post {
        let line = format!("{what}\n");
        if let Err(error) = (&*posts).write_all(line.as_bytes()) {
            eprintln!("cannot write: {error}");
        }
    }
    let echo = [what.as_bytes(), &body].concat();
    Ok(Response::new(Full::from(echo)))
}
